"""Operators' routes for taking the books away as files."""

from collections.abc import Iterator
from typing import Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from shared.errors import ErrorCode
from vendor_api.admin.gate import PREFIX
from vendor_api.admin.selections import SpanSelection
from vendor_api.admin.sheets import Form
from vendor_api.admin.spooling import send_rows
from vendor_api.dependencies import CurrentShop
from vendor_api.ledger.exports import COLUMNS, Cell, What, export_rows
from vendor_api.openapi import responses

router = APIRouter(prefix=PREFIX)

__all__ = ["router"]


@router.get(
    "/exports/{what}.{form}",
    response_class=StreamingResponse,
    responses={
        200: {"content": {"text/csv": {}, "application/x-ndjson": {}}},
        **responses(ErrorCode.NOT_FOUND),
    },
)
async def get_export(
    shop: CurrentShop, what: What, form: Form, selection: Annotated[SpanSelection, Query()]
) -> StreamingResponse:
    """The journal, charges, usage or grants as of one instant, as CSV or a JSON object a line."""
    span = selection.span

    def select_rows(connection: Connection) -> Iterator[dict[str, Cell]]:
        return export_rows(
            connection, what, account_id=span.account_id, since=span.since, until=span.until
        )

    return await send_rows(shop, what, form, COLUMNS[what], select_rows)
