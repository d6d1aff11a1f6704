"""For the operator over HTTP: everybody's books, every correction, and one page to look at."""

from fastapi import APIRouter

from vendor_api.admin import account_routes, book_routes, dashboard, export_routes, key_routes

router = APIRouter(tags=["operator"])
for _part in (account_routes, key_routes, book_routes, export_routes):
    router.include_router(_part.router, prefix="/v1/admin")
router.include_router(dashboard.router)

__all__ = ["router"]
