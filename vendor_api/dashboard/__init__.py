"""The dashboard: what operators see and do in a browser."""

from fastapi import APIRouter

from vendor_api.dashboard import (
    abuse,
    assets,
    charge,
    charges,
    integrity,
    journal,
    log,
    now,
    statement,
    usage,
)
from vendor_api.dashboard.doors import install_doors

router = APIRouter(include_in_schema=False)
for _part in (
    assets,
    now,
    statement,
    journal,
    usage,
    charges,
    charge,
    integrity,
    abuse,
    log,
):
    router.include_router(_part.router)

__all__ = ["install_doors", "router"]
