"""The dashboard: what operators see and do in a browser."""

from fastapi import APIRouter

from vendor_api.dashboard import assets, now
from vendor_api.dashboard.doors import install_doors

router = APIRouter(include_in_schema=False)
for _part in (assets, now):
    router.include_router(_part.router)

__all__ = ["install_doors", "router"]
