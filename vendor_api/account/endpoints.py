"""Routes of an account's own books; another account's rows are never reachable from here."""

from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import IO, Annotated, TypeVar

from fastapi import APIRouter, Depends, Query
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from shared.errors import ErrorCode
from shared.headers import MAX_IDEMPOTENCY_KEY
from shared.wire import BalanceDocument, ChargeList, UsageDocument
from vendor_api.admin.account_export import write_account
from vendor_api.admin.downloads import send_file
from vendor_api.dependencies import CurrentPrincipal, CurrentShop, require_scope
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import LedgerError
from vendor_api.metering.refusals import translate

DEFAULT_DAYS = 30
MAX_CHARGES = 1000
PRINTABLE = "^[ -~]*$"
"""What an id or a key can be; PostgreSQL takes no NUL character even to compare with."""
_EARLIEST = datetime(1970, 1, 1, tzinfo=UTC)

T = TypeVar("T")

router = APIRouter(prefix="/v1", tags=["account"], dependencies=[Depends(require_scope("read"))])

__all__ = ["router"]


@router.get("/balance")
async def get_balance(shop: CurrentShop, principal: CurrentPrincipal) -> BalanceDocument:
    """What was paid in, spent, is held, and is available."""
    return await _ask(shop.ledger.balance(principal.account_id))


@router.get("/usage")
async def get_usage(
    shop: CurrentShop,
    principal: CurrentPrincipal,
    since: Annotated[datetime | None, Query(description="ISO 8601; 30 days before `until`")] = None,
    until: Annotated[datetime | None, Query(description="ISO 8601; now")] = None,
) -> UsageDocument:
    """Hourly rows by key, model and modality, by the time of capture, with their totals."""
    end = _in_utc(until) or datetime.now(UTC)
    start = _in_utc(since) or max(end, _EARLIEST) - timedelta(days=DEFAULT_DAYS)
    if start > end:
        raise VendorError(
            ErrorCode.INVALID_REQUEST, "`since` is later than `until`.", param="since"
        )
    return await _ask(shop.ledger.usage(principal.account_id, start, end))


@router.get("/charges")
async def list_charges(
    shop: CurrentShop,
    principal: CurrentPrincipal,
    idempotency_key: Annotated[
        str | None, Query(max_length=MAX_IDEMPOTENCY_KEY, pattern=PRINTABLE)
    ] = None,
    limit: Annotated[int, Query(ge=1, le=MAX_CHARGES)] = 100,
    after: Annotated[
        str | None, Query(description="a charge's id", max_length=64, pattern=PRINTABLE)
    ] = None,
) -> ChargeList:
    """Charges, oldest first; by its idempotency key, the one way to learn what became of a request."""
    return await _ask(
        shop.ledger.charges(
            principal.account_id, idempotency_key=idempotency_key, limit=limit, after=after
        )
    )


@router.get(
    "/account/export",
    response_class=StreamingResponse,
    responses={200: {"content": {"application/zip": {}}}},
)
async def export_account(shop: CurrentShop, principal: CurrentPrincipal) -> StreamingResponse:
    """All that is kept about the account, as a ZIP of one JSON object a line, with a manifest."""
    account_id = principal.account_id

    def write(connection: Connection, file: IO[bytes]) -> None:
        write_account(connection, account_id, file, name_operators=False)

    async with shop.exporting:
        return await send_file(shop, write, name=f"{account_id}.zip", media_type="application/zip")


async def _ask(question: Awaitable[T]) -> T:
    try:
        return await question
    except LedgerError as error:
        raise translate(error) from error


def _in_utc(given: datetime | None) -> datetime | None:
    if given is None or given.tzinfo is not None:
        return given
    return given.replace(tzinfo=UTC)
