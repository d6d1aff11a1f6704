"""What the pages about keys share: finding one, and showing a new one's text the only time."""

from fastapi import Request
from starlette.responses import Response

from vendor_api.admin.documents import IssuedKeyDocument
from vendor_api.admin.refusals import read
from vendor_api.dashboard.key_list import KeyRow, find_key_row
from vendor_api.dashboard.page import render
from vendor_api.dashboard.visitors import Visitor
from vendor_api.db import read_clock
from vendor_api.dependencies import Shop

__all__ = ["find_for_page", "show_once"]


async def find_for_page(shop: Shop, key_id: str) -> KeyRow:
    """The key of now. Raises VendorError for an unknown one."""
    return await read(shop, lambda c: find_key_row(c, read_clock(c), key_id, shop.limiter.tally))


async def show_once(
    request: Request, shop: Shop, visitor: Visitor, issued: IssuedKeyDocument
) -> Response:
    """The page with the new key's text; no cache keeps it and no page shows it again."""
    return await render(
        request,
        shop,
        "key_once.html",
        visitor=visitor,
        status=201,
        document=issued,
        issued=issued,
    )
