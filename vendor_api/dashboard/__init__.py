"""The dashboard: what operators see and do in a browser."""

from fastapi import APIRouter

from vendor_api.dashboard import (
    account_pages,
    assets,
    key_changes,
    key_pages,
    login,
    me,
    money_pages,
    now,
    people,
    price_pages,
    setup,
)
from vendor_api.dashboard.doors import install_doors

router = APIRouter(include_in_schema=False)
for _part in (assets, login, setup, me, now, people):
    router.include_router(_part.router)
for _part in (account_pages, money_pages, key_pages, key_changes, price_pages):
    router.include_router(_part.router)

__all__ = ["install_doors", "router"]
