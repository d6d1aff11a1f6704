"""For the operator over HTTP: everybody's books, every correction."""

from fastapi import APIRouter, Depends

from vendor_api.admin import (
    account_routes,
    book_routes,
    export_routes,
    key_routes,
    life_routes,
)
from vendor_api.admin.gate import admit_operator

# Here, so that no route can be forgotten; one that changes something also names its operator.
_guarded = APIRouter(dependencies=[Depends(admit_operator)])
for _part in (account_routes, life_routes, key_routes, book_routes, export_routes):
    _guarded.include_router(_part.router)

router = APIRouter(tags=["operator"])
router.include_router(_guarded)

__all__ = ["router"]
