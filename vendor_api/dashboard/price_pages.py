"""Models and prices: what is served, what each price was and will be, and what another would earn."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from shared.errors import ERROR_KINDS
from vendor_api.admin import actions
from vendor_api.admin.refusals import change, require_future, survey
from vendor_api.dashboard.callers import AdminVisitor, list_rights
from vendor_api.dashboard.form_pages import CONFIRMED
from vendor_api.dashboard.forms import Filled, Sent, begin, read_form, refill
from vendor_api.dashboard.page import HEADERS, render
from vendor_api.dashboard.price_forms import Supposition, list_entries
from vendor_api.dashboard.price_view import PriceBook, view_prices
from vendor_api.dashboard.visitors import CurrentVisitor, Visitor
from vendor_api.dashboard.whatif import Supposed, suppose_prices
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.jobs import Work

PATH = "/dashboard/prices"

router = APIRouter(prefix=PATH, include_in_schema=False)

__all__ = ["router"]


@router.get("")
async def get_prices(
    request: Request, shop: CurrentShop, visitor: CurrentVisitor, done: str = ""
) -> Response:
    """Models with their engines, and every version of every price."""
    states = shop.catalogue.states()
    book = await survey(shop, lambda c: view_prices(c, read_clock(c), states))
    return await render(
        request,
        shop,
        "prices.html",
        visitor=visitor,
        document=book,
        as_of=book.as_of,
        book=book,
        done=done == "set",
        may=list_rights(visitor),
    )


@router.get("/what-if")
async def get_what_if(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """What the latest days would have earned at other prices; changes nothing."""
    if not request.query_params.keys() & {"image_usd", "text_usd"}:
        begun = {"model": request.query_params.get("model", ""), "days": "30"}
        return await _show(request, shop, visitor, begin(begun))
    return await _show(request, shop, visitor, _read(request.query_params))


@router.post("")
async def post_prices(request: Request, shop: CurrentShop, visitor: AdminVisitor) -> Response:
    """Set the prices, once the page that says what they would earn has been seen."""
    form = await request.form()
    filled = _read(form)
    if filled.order is None or not form.get(CONFIRMED):
        return await _show(request, shop, visitor, filled)
    try:
        await change(shop, "", _set(visitor, filled.order))
    except VendorError as error:
        status = ERROR_KINDS[error.code].status
        return await _show(request, shop, visitor, refill(filled, error), status=status)
    shop.catalogue.forget_prices()
    return RedirectResponse(f"{PATH}?done=set", 303, HEADERS)


def _read(sent: Sent) -> Filled[Supposition]:
    filled = read_form(sent, Supposition, counts=("days",))
    if filled.order is not None and not filled.order.units:
        wrong = {"image_usd": "Write a price for images, for texts, or both."}
        return Filled(None, filled.typed, wrong)
    return filled


def _set(visitor: Visitor, order: Supposition) -> Work[object]:
    def work(connection: Connection, now: int) -> object:
        require_future(now, order.valid_from, "valid_from")
        return actions.change_prices(
            connection, now, visitor.id, order.model, order.units, order.valid_from
        )

    return work


async def _show(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    filled: Filled[Supposition],
    *,
    status: int | None = None,
) -> Response:
    order, states = filled.order, shop.catalogue.states()

    def query(connection: Connection) -> tuple[PriceBook, Supposed | None]:
        now = read_clock(connection)
        book = view_prices(connection, now, states)
        if order is None:
            return book, None
        return book, suppose_prices(connection, now, order.model, order.units, order.days)

    book, supposed = await survey(shop, query)
    document: dict[str, Any] = {"typed": dict(filled.typed), "errors": dict(filled.errors)}
    if supposed is not None:
        document["supposed"] = supposed.model_dump(mode="json")
    return await render(
        request,
        shop,
        "what_if.html",
        visitor=visitor,
        status=status or (400 if filled.errors else 200),
        document=document,
        as_of=book.as_of,
        book=book,
        entries=list_entries([model.id for model in book.models]),
        filled=filled,
        supposed=supposed,
        valid_from=None if order is None else order.valid_from,
        confirmed=CONFIRMED,
        may=list_rights(visitor),
    )
