"""The end of an account: a form, then exactly what it comes to, then the deed, once.

All three run the one function that closes it: the form's answer is its rehearsal, taken back.
"""

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from shared.errors import ErrorCode
from shared.money import format_usd, show_usd
from vendor_api.admin import life
from vendor_api.admin.documents import AccountDocument
from vendor_api.admin.fields import AccountId
from vendor_api.admin.life_routes import forget_keys
from vendor_api.admin.orders import CloseOrder
from vendor_api.admin.refusals import change, rehearse
from vendor_api.dashboard.account_forms import CLOSING, name_account, place_form
from vendor_api.dashboard.callers import AdminVisitor
from vendor_api.dashboard.form_pages import (
    CONFIRMED,
    Confirmation,
    Form,
    show_confirmation,
    show_form,
    show_refusal,
)
from vendor_api.dashboard.forms import Filled, read_form
from vendor_api.dashboard.page import HEADERS
from vendor_api.db import format_instant
from vendor_api.dependencies import CurrentShop
from vendor_api.errors import VendorError
from vendor_api.ledger.closing import Close, Closure

router = APIRouter(prefix="/dashboard/accounts", include_in_schema=False)

__all__ = ["router"]


@router.get("/{account_id}/close")
async def get_closing(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, account_id: AccountId
) -> Response:
    """The form that closes an account."""
    account = await name_account(shop, account_id)
    return await show_form(request, shop, visitor, place_form(CLOSING, account))


@router.post("/{account_id}/close")
async def post_closing(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, account_id: AccountId
) -> Response:
    """What closing will come to; with the yes, the end of the account."""
    sent = await request.form()
    filled = read_form(sent, CloseOrder)
    account = await name_account(shop, account_id)
    form = place_form(CLOSING, account)
    if filled.order is None:
        return await show_form(request, shop, visitor, form, filled)
    command = Close(account_id, filled.order.reason, filled.order.refund_external_ref)

    def work(connection: Connection, now: int) -> Closure:
        return life.end_account(connection, now, visitor.id, command)

    try:
        if sent.get(CONFIRMED):
            await change(shop, account_id, work)
            await forget_keys(shop, account_id)
            return RedirectResponse(f"{form.back}?done=closed", 303, HEADERS)
        closure = await rehearse(shop, account_id, work)
    except VendorError as error:
        return await show_refusal(request, shop, visitor, form, filled, _place(error))
    return await show_confirmation(request, shop, visitor, _confirm(form, account, filled, closure))


def _place(error: VendorError) -> VendorError:
    """The refusal at the form's own field."""
    if error.code != ErrorCode.REFERENCE_REUSED:
        return error
    return VendorError(error.code, error.detail, param="refund_external_ref")


def _confirm(
    form: Form, account: AccountDocument, filled: Filled[CloseOrder], closure: Closure
) -> Confirmation:
    facts = [
        ("Account", f"{account.name} ({account.id})"),
        ("Reason", closure.reason),
        ("To pay back", show_usd(closure.refunded_nanousd)),
        ("Reference of the refund", closure.refund_ref or "none"),
        ("Forfeited", show_usd(closure.forfeited_nanousd)),
        ("Keys", "all end"),
    ]
    notes = ["Nothing has happened yet.", "This is for ever: no one can open the account again."]
    if not closure.new:
        notes = [f"It was closed before, {format_instant(closure.closed_at)}: nothing will change."]
    return Confirmation(
        title=f"{form.title} – is this right?",
        action=form.action,
        submit=f"Yes, close {account.name} for ever",
        back=form.back,
        facts=facts,
        sent=filled.typed,
        notes=notes,
        document={
            "refunded_usd": format_usd(closure.refunded_nanousd),
            "forfeited_usd": format_usd(closure.forfeited_nanousd),
            "new": closure.new,
        },
        danger=True,
    )
