"""The dashboard: what operators see and do in a browser."""

from fastapi import APIRouter

from vendor_api.dashboard import (
    abuse,
    account_pages,
    assets,
    charge,
    charges,
    closing_pages,
    integrity,
    journal,
    key_changes,
    key_pages,
    log,
    login,
    me,
    money_pages,
    now,
    people,
    price_pages,
    setup,
    statement,
    usage,
)
from vendor_api.dashboard.doors import install_doors

router = APIRouter(include_in_schema=False)
for _part in (
    assets,
    login,
    setup,
    me,
    now,
    statement,
    journal,
    account_pages,
    money_pages,
    closing_pages,
    usage,
    charges,
    charge,
    key_pages,
    key_changes,
    price_pages,
    integrity,
    abuse,
    log,
    people,
):
    router.include_router(_part.router)

__all__ = ["install_doors", "router"]
