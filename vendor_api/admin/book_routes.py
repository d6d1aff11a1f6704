"""Operators' routes for looking: charges, usage, journal, prices, the audit log, the books' health."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection

from shared.errors import ErrorCode
from shared.wire import ChargeState, Modality
from vendor_api.admin import actions
from vendor_api.admin.books import ChargeFilter, Span, find_charge, list_charges, list_transactions
from vendor_api.admin.documents import (
    ActionDocument,
    ChargeRecord,
    IntegrityDocument,
    Listing,
    PriceDocument,
    TransactionDocument,
    UsageListing,
)
from vendor_api.admin.fields import (
    AccountQuery,
    After,
    ChargeId,
    IdempotencyQuery,
    Page,
    RequestQuery,
    Since,
    Until,
    bound,
)
from vendor_api.admin.gate import CurrentOperator
from vendor_api.admin.integrity import check_books
from vendor_api.admin.log import list_actions
from vendor_api.admin.orders import PriceOrder
from vendor_api.admin.pricebook import list_prices
from vendor_api.admin.refusals import change, read
from vendor_api.admin.usage import BadCursor, list_usage
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop
from vendor_api.errors import VendorError

router = APIRouter()

__all__ = ["router"]

_Word = Annotated[str | None, Query(pattern=r"^[\x21-\x7e]{1,200}$")]


@router.get("/charges")
async def get_charges(
    shop: CurrentShop,
    operator: CurrentOperator,
    account: AccountQuery = None,
    state: ChargeState | None = None,
    since: Since = None,
    until: Until = None,
    request_id: RequestQuery = None,
    idempotency_key: IdempotencyQuery = None,
    limit: Page = 100,
    after: After = None,
) -> Listing[ChargeRecord]:
    """Charges of every account by when they were asked for, oldest first."""
    span = Span(account, bound(since), bound(until))
    wanted = ChargeFilter(span, state, request_id, idempotency_key)
    return await read(shop, lambda c: list_charges(c, wanted, after=after, limit=limit))


@router.get("/charges/{charge_id}")
async def get_charge(
    shop: CurrentShop, operator: CurrentOperator, charge_id: ChargeId
) -> ChargeRecord:
    """One charge."""
    return await read(shop, lambda c: find_charge(c, charge_id))


@router.get("/usage")
async def get_usage(
    shop: CurrentShop,
    operator: CurrentOperator,
    account: AccountQuery = None,
    since: Since = None,
    until: Until = None,
    limit: Page = 100,
    after: After = None,
) -> UsageListing:
    """Hours of use by the time of capture, oldest first, and the totals of the whole span."""
    span = Span(account, bound(since), bound(until))
    try:
        return await read(
            shop, lambda c: list_usage(c, read_clock(c), span, after=after, limit=limit)
        )
    except BadCursor as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"{error}.", param="after") from error


@router.get("/journal")
async def get_journal(
    shop: CurrentShop,
    operator: CurrentOperator,
    account: AccountQuery = None,
    since: Since = None,
    until: Until = None,
    limit: Page = 100,
    after: After = None,
) -> Listing[TransactionDocument]:
    """Every movement of money with its entries, oldest first."""
    span = Span(account, bound(since), bound(until))
    return await read(shop, lambda c: list_transactions(c, span, after=after, limit=limit))


@router.get("/audit-log")
async def get_audit_log(
    shop: CurrentShop,
    operator: CurrentOperator,
    actor: _Word = None,
    subject: _Word = None,
    limit: Page = 100,
    after: After = None,
) -> Listing[ActionDocument]:
    """Who changed what, oldest first."""

    def query(connection: Connection) -> list[ActionDocument]:
        found = list_actions(
            connection, actor=actor, subject=subject, after=after, limit=limit + 1
        )
        return [
            ActionDocument(
                id=each.id,
                at=format_instant(each.at),
                actor=each.actor,
                action=each.action,
                subject=each.subject,
                detail=each.detail,
            )
            for each in found
        ]

    found = await read(shop, query)
    return Listing(data=found[:limit], has_more=len(found) > limit)


@router.get("/prices")
async def get_prices(
    shop: CurrentShop, operator: CurrentOperator, model: _Word = None
) -> Listing[PriceDocument]:
    """Every version of every price: past, current and upcoming."""
    return await read(shop, lambda c: list_prices(c, read_clock(c), model))


@router.post("/prices", status_code=201)
async def post_prices(
    shop: CurrentShop, operator: CurrentOperator, order: PriceOrder
) -> Listing[PriceDocument]:
    """Sell a model at these prices from now or from `valid_from` on; its whole price book."""
    asked: dict[Modality, int | None] = {"image": order.image_usd, "text": order.text_usd}
    units = {modality: unit for modality, unit in asked.items() if unit is not None}
    if not units:
        raise VendorError(ErrorCode.INVALID_REQUEST, "Name image_usd, text_usd or both.")

    def work(connection: Connection, now: int) -> Listing[PriceDocument]:
        if order.valid_from is not None and order.valid_from <= now:
            raise VendorError(
                ErrorCode.INVALID_REQUEST, "valid_from: it is in the past", param="valid_from"
            )
        actions.change_prices(connection, now, operator.id, order.model, units, order.valid_from)
        return list_prices(connection, now, order.model)

    return await change(shop, "", work)


@router.get("/integrity")
async def get_integrity(
    request: Request, shop: CurrentShop, operator: CurrentOperator
) -> IntegrityDocument:
    """The last check of every rule of the books; made now when none was made yet."""
    return await check_books(request.app, shop)
