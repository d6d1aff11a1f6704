"""Operators' routes for accounts and their money."""

from collections.abc import Callable
from typing import Annotated, Any

from fastapi import APIRouter, Query, Response
from sqlalchemy import Connection

from shared.errors import ErrorCode
from shared.money import format_usd
from vendor_api.admin import actions
from vendor_api.admin.books import find_charge, list_accounts, read_account
from vendor_api.admin.documents import AccountDetail, AccountDocument, BookingDocument, Listing
from vendor_api.admin.fields import AccountId, ChargeId
from vendor_api.admin.gate import PREFIX, CurrentOperator
from vendor_api.admin.holdings import describe_account
from vendor_api.admin.orders import (
    AccountChange,
    AccountOrder,
    AdjustmentOrder,
    CreditOrder,
    RefundOrder,
    StatusOrder,
)
from vendor_api.admin.refusals import change, read
from vendor_api.admin.selections import Page
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.ledger.commands import AccountStatus, Adjust, Booking, Credit, Refund
from vendor_api.openapi import responses

router = APIRouter(prefix=PREFIX)

_FOUND_OR_NOT = responses(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT)
_BOOKED: dict[int | str, dict[str, Any]] = {
    200: {"model": BookingDocument, "description": "It was booked before"},
    **responses(
        ErrorCode.NOT_FOUND, ErrorCode.REFERENCE_REUSED, ErrorCode.OVER_REFUND, ErrorCode.CONFLICT
    ),
}

__all__ = ["router"]


@router.get("/accounts")
async def get_accounts(
    shop: CurrentShop, page: Annotated[Page, Query()]
) -> Listing[AccountDocument]:
    """Accounts with their balances, oldest first."""
    return await read(shop, lambda c: list_accounts(c, after=page.after, limit=page.limit))


@router.post("/accounts", status_code=201, responses=responses(ErrorCode.CONFLICT))
async def post_account(
    shop: CurrentShop, operator: CurrentOperator, order: AccountOrder
) -> AccountDocument:
    """Open an account; 409 when the name is taken."""

    def work(connection: Connection, now: int) -> AccountDocument:
        opened = actions.open_account(
            connection, now, operator.id, order.name, order.credit_limit_usd
        )
        return read_account(connection, opened.id)

    return await change(shop, "", work)


@router.get("/accounts/{account_id}", responses=responses(ErrorCode.NOT_FOUND))
async def get_account(shop: CurrentShop, account_id: AccountId) -> AccountDetail:
    """An account with its balance, grants, keys and caps."""
    return await read(shop, lambda c: describe_account(c, read_clock(c), account_id))


@router.patch("/accounts/{account_id}", responses=_FOUND_OR_NOT)
async def patch_account(
    shop: CurrentShop, operator: CurrentOperator, account_id: AccountId, order: AccountChange
) -> AccountDocument:
    """Change what the account may owe; 409 when it owes more already."""

    def work(connection: Connection, now: int) -> AccountDocument:
        limit = order.credit_limit_usd
        actions.change_credit_limit(connection, now, operator.id, account_id, limit)
        return read_account(connection, account_id)

    return await change(shop, account_id, work)


@router.post("/accounts/{account_id}/freeze", responses=_FOUND_OR_NOT)
async def post_freeze(
    shop: CurrentShop, operator: CurrentOperator, account_id: AccountId, order: StatusOrder
) -> AccountDocument:
    """Let the account buy nothing more; what it holds can still be captured."""
    return await _set_status(shop, operator.id, account_id, "frozen", order.reason)


@router.post("/accounts/{account_id}/unfreeze", responses=_FOUND_OR_NOT)
async def post_unfreeze(
    shop: CurrentShop, operator: CurrentOperator, account_id: AccountId, order: StatusOrder
) -> AccountDocument:
    """Let the account buy again."""
    return await _set_status(shop, operator.id, account_id, "active", order.reason)


@router.post("/accounts/{account_id}/credits", status_code=201, responses=_BOOKED)
async def post_credit(
    shop: CurrentShop,
    operator: CurrentOperator,
    account_id: AccountId,
    order: CreditOrder,
    answer: Response,
) -> BookingDocument:
    """Pay money in, once for each kind and reference: 200 and `new: false` when it was there."""
    command = Credit(
        account_id=account_id,
        amount_nanousd=order.amount_usd,
        external_ref=order.external_ref,
        kind=order.kind,
        expires_at=order.expires_at,
        reason=order.reason,
    )

    def work(connection: Connection, now: int) -> Booking:
        return actions.credit(connection, now, operator.id, command)

    return await _book(shop, account_id, work, answer)


@router.post("/accounts/{account_id}/adjustments", status_code=201, responses=_BOOKED)
async def post_adjustment(
    shop: CurrentShop,
    operator: CurrentOperator,
    account_id: AccountId,
    order: AdjustmentOrder,
    answer: Response,
) -> BookingDocument:
    """Correct a balance, once for each reference: 200 and `new: false` when it was there."""
    command = Adjust(account_id, order.amount_usd, order.external_ref, order.reason)

    def work(connection: Connection, now: int) -> Booking:
        return actions.adjust(connection, now, operator.id, command)

    return await _book(shop, account_id, work, answer)


@router.post("/charges/{charge_id}/refunds", status_code=201, responses=_BOOKED)
async def post_refund(
    shop: CurrentShop,
    operator: CurrentOperator,
    charge_id: ChargeId,
    order: RefundOrder,
    answer: Response,
) -> BookingDocument:
    """Give back what a charge cost, once for each reference: 200 and `new: false` when it was there."""
    command = Refund(charge_id, order.amount_usd, order.external_ref, order.reason)
    account_id = (await read(shop, lambda c: find_charge(c, charge_id))).account_id

    def work(connection: Connection, now: int) -> Booking:
        return actions.refund(connection, now, operator.id, command)

    return await _book(shop, account_id, work, answer)


async def _book(
    shop: Shop, account_id: str, work: Callable[[Connection, int], Booking], answer: Response
) -> BookingDocument:
    booking = await change(shop, account_id, work)
    if not booking.new:
        answer.status_code = 200
    return BookingDocument(
        txn_id=booking.txn_id,
        account_id=booking.account_id,
        amount_usd=format_usd(booking.amount_nanousd),
        new=booking.new,
        available_usd=format_usd(booking.available_nanousd),
    )


async def _set_status(
    shop: Shop, actor: str, account_id: str, status: AccountStatus, reason: str
) -> AccountDocument:
    def work(connection: Connection, now: int) -> AccountDocument:
        actions.change_status(connection, now, actor, account_id, status, reason)
        return read_account(connection, account_id)

    return await change(shop, account_id, work)
