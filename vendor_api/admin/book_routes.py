"""Operators' routes for looking: charges, usage, journal, prices, the audit log, the books' health."""

from dataclasses import asdict
from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection

from shared.errors import ErrorCode
from vendor_api.admin import actions
from vendor_api.admin.books import find_charge, list_charges, list_transactions
from vendor_api.admin.documents import (
    ActionDocument,
    ChargeRecord,
    IntegrityDocument,
    Listing,
    PriceDocument,
    TransactionDocument,
    UsageListing,
)
from vendor_api.admin.fields import ChargeId
from vendor_api.admin.gate import PREFIX, CurrentOperator
from vendor_api.admin.integrity import check_books
from vendor_api.admin.log import list_actions
from vendor_api.admin.orders import PriceOrder
from vendor_api.admin.pricebook import list_prices
from vendor_api.admin.refusals import change, read, require_future
from vendor_api.admin.selections import ActionPage, ChargePage, ModelSelection, SpanPage
from vendor_api.admin.usage import BadCursor, list_usage
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop
from vendor_api.errors import VendorError
from vendor_api.openapi import responses

router = APIRouter(prefix=PREFIX)

__all__ = ["router"]


@router.get("/charges")
async def get_charges(
    shop: CurrentShop, page: Annotated[ChargePage, Query()]
) -> Listing[ChargeRecord]:
    """Charges of every account by when they were asked for, oldest first."""
    return await read(
        shop, lambda c: list_charges(c, page.filter, after=page.after, limit=page.limit)
    )


@router.get("/charges/{charge_id}", responses=responses(ErrorCode.NOT_FOUND))
async def get_charge(shop: CurrentShop, charge_id: ChargeId) -> ChargeRecord:
    """One charge."""
    return await read(shop, lambda c: find_charge(c, charge_id))


@router.get("/usage")
async def get_usage(shop: CurrentShop, page: Annotated[SpanPage, Query()]) -> UsageListing:
    """Hours of use by the time of capture, oldest first, and the totals of the whole span."""

    def query(connection: Connection) -> UsageListing:
        now = read_clock(connection)
        return list_usage(connection, now, page.span, after=page.after, limit=page.limit)

    try:
        return await read(shop, query)
    except BadCursor as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"{error}.", param="after") from error


@router.get("/journal")
async def get_journal(
    shop: CurrentShop, page: Annotated[SpanPage, Query()]
) -> Listing[TransactionDocument]:
    """Every movement of money with its entries, oldest first."""
    return await read(
        shop, lambda c: list_transactions(c, page.span, after=page.after, limit=page.limit)
    )


@router.get("/audit-log")
async def get_audit_log(
    shop: CurrentShop, page: Annotated[ActionPage, Query()]
) -> Listing[ActionDocument]:
    """Who changed what, oldest first."""
    found = await read(
        shop,
        lambda c: list_actions(
            c, actor=page.actor, subject=page.subject, after=page.after, limit=page.limit + 1
        ),
    )
    data = [
        ActionDocument(**{**asdict(each), "at": format_instant(each.at)})
        for each in found[: page.limit]
    ]
    return Listing(data=data, has_more=len(found) > page.limit)


@router.get("/prices")
async def get_prices(
    shop: CurrentShop, selection: Annotated[ModelSelection, Query()]
) -> Listing[PriceDocument]:
    """Every version of every price: past, current and upcoming."""
    return await read(shop, lambda c: list_prices(c, read_clock(c), selection.model))


@router.post("/prices", status_code=201, responses=responses(ErrorCode.CONFLICT))
async def post_prices(
    shop: CurrentShop, operator: CurrentOperator, order: PriceOrder
) -> Listing[PriceDocument]:
    """Sell a model at these prices from now or from `valid_from` on; its whole price book."""
    if not order.units:
        raise VendorError(ErrorCode.INVALID_REQUEST, "Name image_usd, text_usd or both.")

    def work(connection: Connection, now: int) -> Listing[PriceDocument]:
        require_future(now, order.valid_from, "valid_from")
        actions.change_prices(
            connection, now, operator.id, order.model, order.units, order.valid_from
        )
        return list_prices(connection, now, order.model)

    book = await change(shop, "", work)
    shop.catalogue.forget_prices()
    return book


@router.get("/integrity")
async def get_integrity(request: Request, shop: CurrentShop) -> IntegrityDocument:
    """The last check of every rule of the books; made now when none was made yet."""
    return await check_books(request.app, shop)
