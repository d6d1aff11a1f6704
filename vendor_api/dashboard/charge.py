"""One charge: its story, its journal lines, and giving back what it cost."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from shared.errors import ErrorCode
from vendor_api.admin import actions
from vendor_api.admin.fields import ChargeId
from vendor_api.admin.orders import RefundOrder
from vendor_api.admin.refusals import change
from vendor_api.dashboard.forms import Filled, read_form, refill
from vendor_api.dashboard.page import HEADERS, render, wants_json
from vendor_api.dashboard.reading import look
from vendor_api.dashboard.visitors import CurrentVisitor, Visitor, require
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import Booking, Refund
from vendor_api.people.roster import MONEY
from vendor_api.reports.plain import describe
from vendor_api.reports.story import Story, tell_charge

PATH = "/dashboard/charges/{charge_id}"

router = APIRouter(include_in_schema=False)

__all__ = ["router"]

_Cashier = Annotated[Visitor, Depends(require(MONEY))]


@router.get(PATH)
async def get_charge(
    request: Request, shop: CurrentShop, visitor: CurrentVisitor, charge_id: ChargeId
) -> Response:
    """The charge's story."""
    return await _show(request, shop, visitor, charge_id, Filled())


@router.post(f"{PATH}/refunds")
async def post_refund(
    request: Request, shop: CurrentShop, visitor: _Cashier, charge_id: ChargeId
) -> Response:
    """Give back what the charge cost, once for each reference; all that is left without an amount."""
    filled = read_form(await request.form(), RefundOrder)
    order = filled.order
    if order is None:
        return await _show(request, shop, visitor, charge_id, filled)
    command = Refund(charge_id, order.amount_usd, order.external_ref, order.reason)

    def work(connection: Connection, now: int) -> Booking:
        return actions.refund(connection, now, visitor.id, command)

    story = await _read(shop, charge_id)
    try:
        booking = await change(shop, story.charge.account_id, work)
    except VendorError as error:
        return await _show(request, shop, visitor, charge_id, refill(filled, error), error)
    done = "refunded" if booking.new else "repeated"
    return RedirectResponse(f"/dashboard/charges/{charge_id}?done={done}", 303, HEADERS)


async def _read(shop: Shop, charge_id: str) -> Story:
    return await look(shop, lambda c: tell_charge(c, read_clock(c), charge_id))


async def _show(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    charge_id: str,
    filled: Filled[Any],
    error: VendorError | None = None,
) -> Response:
    story = await _read(shop, charge_id)
    if filled.errors and wants_json(request):
        sentence = " ".join(filled.errors.values())
        raise error or VendorError(ErrorCode.INVALID_REQUEST, sentence)
    return await render(
        request,
        shop,
        "charge.html",
        visitor=visitor,
        status=400 if filled.errors else 200,
        as_of=story.as_of,
        document={"object": "charge_story", **describe(story)},
        story=story,
        filled=filled,
        may_refund=visitor.role in MONEY and story.refundable_nanousd > 0,
        done=request.query_params.get("done"),
    )
