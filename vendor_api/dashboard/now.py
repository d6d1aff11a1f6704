"""The first page: what the vendor is doing now."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from vendor_api.dashboard.page import render
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.dependencies import CurrentShop

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get("/dashboard")
async def get_now(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """What the vendor is doing now."""
    return await render(request, shop, "now.html", visitor=visitor, document={})
