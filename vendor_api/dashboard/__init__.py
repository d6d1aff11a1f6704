"""The dashboard: what operators see and do in a browser."""

from fastapi import APIRouter

from vendor_api.dashboard import (
    account_pages,
    assets,
    key_changes,
    key_pages,
    money_pages,
    now,
    price_pages,
)
from vendor_api.dashboard.doors import install_doors

router = APIRouter(include_in_schema=False)
for _part in (assets, now, account_pages, money_pages, key_pages, key_changes, price_pages):
    router.include_router(_part.router)

__all__ = ["install_doors", "router"]
