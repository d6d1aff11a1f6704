"""Operators' routes for an account as a whole: its space, its data, its end; and what is kept."""

from typing import IO

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from shared.errors import ErrorCode
from shared.money import format_usd
from vendor_api.admin import life
from vendor_api.admin.account_export import write_account
from vendor_api.admin.books import read_account
from vendor_api.admin.documents import (
    ClosureDocument,
    KeptDocument,
    RetentionDocument,
    SpaceDocument,
)
from vendor_api.admin.downloads import send_file
from vendor_api.admin.fields import AccountId
from vendor_api.admin.gate import PREFIX, CurrentOperator
from vendor_api.admin.holdings import show_instant
from vendor_api.admin.orders import CloseOrder, SpaceOrder
from vendor_api.admin.refusals import change, read
from vendor_api.auth.repository import list_keys
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.ledger.closing import Close, Closure
from vendor_api.openapi import responses
from vendor_api.retention.erasing import accounts_to_erase
from vendor_api.retention.kept import KEPT
from vendor_api.spaces.repository import StoredSpace, read_space

router = APIRouter(prefix=PREFIX)

__all__ = ["describe_closure", "describe_retention", "describe_space", "forget_keys", "router"]


@router.get("/accounts/{account_id}/space", responses=responses(ErrorCode.NOT_FOUND))
async def get_space(shop: CurrentShop, account_id: AccountId) -> SpaceDocument:
    """The space that the account is answered in."""

    def query(connection: Connection) -> SpaceDocument:
        read_account(connection, account_id)
        return describe_space(account_id, read_space(connection, account_id))

    return await read(shop, query)


@router.post(
    "/accounts/{account_id}/space",
    responses=responses(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def post_space(
    shop: CurrentShop, operator: CurrentOperator, account_id: AccountId, order: SpaceOrder
) -> SpaceDocument:
    """Answer the account in its private space (`on`), in everybody's (`off`), or in a `new` one."""

    def work(connection: Connection, now: int) -> SpaceDocument:
        found = life.change_space(
            connection, now, operator.id, shop.spaces, account_id, order.space
        )
        return describe_space(account_id, found)

    changed = await change(shop, account_id, work)
    await forget_keys(shop, account_id)
    return changed


@router.post(
    "/accounts/{account_id}/close",
    responses=responses(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT, ErrorCode.REFERENCE_REUSED),
)
async def post_close(
    shop: CurrentShop, operator: CurrentOperator, account_id: AccountId, order: CloseOrder
) -> ClosureDocument:
    """End the account for ever; 409 while a request is under way or money is owed."""
    command = Close(account_id, order.reason, order.refund_external_ref)

    def work(connection: Connection, now: int) -> ClosureDocument:
        return describe_closure(life.end_account(connection, now, operator.id, command))

    closed = await change(shop, account_id, work)
    await forget_keys(shop, account_id)
    return closed


@router.get(
    "/accounts/{account_id}/export",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"application/zip": {}}},
        **responses(ErrorCode.NOT_FOUND),
    },
)
async def get_account_export(shop: CurrentShop, account_id: AccountId) -> StreamingResponse:
    """All that is kept about the account, as a ZIP of one JSON object a line, with a manifest."""

    def write(connection: Connection, file: IO[bytes]) -> None:
        write_account(connection, account_id, file)

    return await send_file(shop, write, name=f"{account_id}.zip", media_type="application/zip")


@router.get("/retention")
async def get_retention(request: Request, shop: CurrentShop) -> RetentionDocument:
    """What is kept and for how long, and the closed accounts whose time for erasing has come."""
    days: int = request.app.state.erase_days
    return await read(shop, lambda c: describe_retention(c, days))


def describe_space(account_id: str, stored: StoredSpace | None) -> SpaceDocument:
    """The account's space as operators see it."""
    if stored is None:
        return SpaceDocument(
            account_id=account_id, status="off", space_id=None, serial=0, changed_at=None
        )
    return SpaceDocument(
        account_id=account_id,
        status="on" if stored.on else "off",
        space_id=stored.space.id,
        serial=stored.space.serial,
        changed_at=show_instant(stored.changed_at),
    )


def describe_closure(closure: Closure) -> ClosureDocument:
    """How the account ended, as operators see it."""
    return ClosureDocument(
        account_id=closure.account_id,
        closed_at=format_instant(closure.closed_at),
        reason=closure.reason,
        refund_ref=closure.refund_ref,
        refunded_usd=format_usd(closure.refunded_nanousd),
        forfeited_usd=format_usd(closure.forfeited_nanousd),
        new=closure.new,
    )


def describe_retention(connection: Connection, days: int) -> RetentionDocument:
    """The statement of what is kept, with this vendor's days in it."""
    kept = [
        KeptDocument(
            what=each.what,
            tables=list(each.tables),
            until=each.until.format(days=days),
            why=each.why,
        )
        for each in KEPT
    ]
    due = accounts_to_erase(connection, read_clock(connection), days=days)
    return RetentionDocument(erase_days=days, kept=kept, due=[each.account_id for each in due])


async def forget_keys(shop: Shop, account_id: str) -> None:
    """Every process looks the account's keys up again: they ended, or are answered elsewhere."""
    for key in await read(shop, lambda c: list_keys(c, account_id)):
        shop.authenticator.forget(key.id)
