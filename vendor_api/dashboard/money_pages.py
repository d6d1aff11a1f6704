"""Money in and out of an account by hand: a form, then exactly what it will do, then the deed.

All three run the one function that books it: the form's answer is its rehearsal, taken back.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection, select
from starlette.responses import RedirectResponse, Response

from shared.errors import ErrorCode
from shared.money import format_usd, show_usd
from vendor_api.admin import actions
from vendor_api.admin.documents import AccountDocument
from vendor_api.admin.fields import AccountId
from vendor_api.admin.orders import AdjustmentOrder, CreditOrder
from vendor_api.admin.refusals import change, read, rehearse
from vendor_api.dashboard.account_forms import ADJUSTMENT, CREDIT, name_account, place_form
from vendor_api.dashboard.callers import MoneyVisitor
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
from vendor_api.dashboard.visitors import Visitor
from vendor_api.db import format_instant
from vendor_api.db.tables import ledger_txn
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.balance import read_available
from vendor_api.ledger.commands import Adjust, Booking, Credit

router = APIRouter(prefix="/dashboard/accounts", include_in_schema=False)

__all__ = ["router"]


@dataclass(frozen=True, slots=True)
class Movement:
    """What somebody asked for, ready to be booked."""

    kind: str
    """As the journal calls it."""
    external_ref: str
    reason: str | None
    expires_at: int | None
    book: Callable[[Connection, int], Booking]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What booking it would come to."""

    before_nanousd: int
    booking: Booking


@router.get("/{account_id}/credits")
async def get_credit(
    request: Request, shop: CurrentShop, visitor: MoneyVisitor, account_id: AccountId
) -> Response:
    """The form for money paid in or given away."""
    account = await name_account(shop, account_id)
    return await show_form(request, shop, visitor, place_form(CREDIT, account))


@router.post("/{account_id}/credits")
async def post_credit(
    request: Request, shop: CurrentShop, visitor: MoneyVisitor, account_id: AccountId
) -> Response:
    """What the credit will do; with the yes, the credit."""
    filled = read_form(await request.form(), CreditOrder)

    def plan(order: CreditOrder) -> Movement:
        command = Credit(
            account_id=account_id,
            amount_nanousd=order.amount_usd,
            external_ref=order.external_ref,
            kind=order.kind,
            expires_at=order.expires_at,
            reason=order.reason,
        )
        return Movement(
            order.kind,
            order.external_ref,
            order.reason,
            order.expires_at,
            lambda c, now: actions.credit(c, now, visitor.id, command),
        )

    return await _answer(request, shop, visitor, CREDIT, account_id, filled, plan)


@router.get("/{account_id}/adjustments")
async def get_adjustment(
    request: Request, shop: CurrentShop, visitor: MoneyVisitor, account_id: AccountId
) -> Response:
    """The form for correcting a balance."""
    account = await name_account(shop, account_id)
    return await show_form(request, shop, visitor, place_form(ADJUSTMENT, account))


@router.post("/{account_id}/adjustments")
async def post_adjustment(
    request: Request, shop: CurrentShop, visitor: MoneyVisitor, account_id: AccountId
) -> Response:
    """What the correction will do; with the yes, the correction."""
    filled = read_form(await request.form(), AdjustmentOrder)

    def plan(order: AdjustmentOrder) -> Movement:
        command = Adjust(account_id, order.amount_usd, order.external_ref, order.reason)
        return Movement(
            "adjust",
            order.external_ref,
            order.reason,
            None,
            lambda c, now: actions.adjust(c, now, visitor.id, command),
        )

    return await _answer(request, shop, visitor, ADJUSTMENT, account_id, filled, plan)


async def _answer(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    kind: Form,
    account_id: str,
    filled: Filled[Any],
    plan: Callable[[Any], Movement],
) -> Response:
    account = await name_account(shop, account_id)
    form = place_form(kind, account)
    if filled.order is None:
        return await show_form(request, shop, visitor, form, filled)
    movement = plan(filled.order)
    try:
        if (await request.form()).get(CONFIRMED):
            booking = await change(shop, account_id, movement.book)
            again = "" if booking.new else "&again=1"
            place = f"/dashboard/accounts/{account_id}?booked={booking.txn_id}{again}"
            return RedirectResponse(place, 303, HEADERS)
        outlook = await rehearse(
            shop, account_id, lambda c, now: _look_ahead(c, now, movement, account_id)
        )
    except VendorError as error:
        refusal = await _explain(shop, error, movement)
        return await show_refusal(request, shop, visitor, form, filled, refusal)
    return await show_confirmation(
        request, shop, visitor, _confirm(form, account, filled, movement, outlook)
    )


def _look_ahead(connection: Connection, now: int, movement: Movement, account_id: str) -> Outlook:
    before = read_available(connection, account_id)
    return Outlook(before, movement.book(connection, now))


def _confirm(
    form: Form, account: AccountDocument, filled: Filled[Any], movement: Movement, outlook: Outlook
) -> Confirmation:
    booking = outlook.booking
    facts = [
        ("Account", f"{account.name} ({account.id})"),
        ("Kind", movement.kind),
        ("Amount", show_usd(booking.amount_nanousd)),
        ("Reference", movement.external_ref),
        ("Reason", movement.reason or "none"),
    ]
    if movement.kind in ("credit", "promo"):
        expires = movement.expires_at
        facts.append(("Expires", "never" if expires is None else format_instant(expires)))
    facts += [
        ("Available now", show_usd(outlook.before_nanousd)),
        ("Available afterwards", show_usd(booking.available_nanousd)),
    ]
    notes = ["Nothing has been booked yet."]
    if not booking.new:
        notes = [
            f"This very movement was booked before ({booking.txn_id}): it will not move again."
        ]
    return Confirmation(
        title=f"{form.title} – is this right?",
        action=form.action,
        submit=f"Yes, book {show_usd(booking.amount_nanousd)}",
        back=form.back,
        facts=facts,
        sent=filled.typed,
        notes=notes,
        document={
            "amount_usd": format_usd(booking.amount_nanousd),
            "before_usd": format_usd(outlook.before_nanousd),
            "after_usd": format_usd(booking.available_nanousd),
            "new": booking.new,
        },
    )


async def _explain(shop: Shop, error: VendorError, movement: Movement) -> VendorError:
    """A reference that is taken, with what it was taken for."""
    if error.code != ErrorCode.REFERENCE_REUSED:
        return error

    def query(connection: Connection) -> str:
        found = connection.execute(
            select(ledger_txn).where(
                ledger_txn.c.kind == movement.kind, ledger_txn.c.ref == movement.external_ref
            )
        ).one_or_none()
        if found is None:
            return "Look at the journal for what it stands for."
        name = find_account(connection, found.account_id).name
        when = format_instant(found.created_at)
        return f"It stands for {found.id}, booked at {when} for the account {name}."

    return VendorError(error.code, f"{error.detail} {await read(shop, query)}", param=error.param)
