"""Operators' routes for taking the books away as files."""

from typing import IO, Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from shared.errors import ErrorCode
from vendor_api.admin.downloads import send_file
from vendor_api.admin.gate import PREFIX
from vendor_api.admin.selections import SpanSelection
from vendor_api.admin.sheets import Form, write_rows
from vendor_api.dependencies import CurrentShop
from vendor_api.ledger.exports import COLUMNS, What, export_rows
from vendor_api.openapi import responses

_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

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

    def write(connection: Connection, file: IO[bytes]) -> None:
        rows = export_rows(
            connection, what, account_id=span.account_id, since=span.since, until=span.until
        )
        write_rows(rows, COLUMNS[what], form, file)

    return await send_file(shop, write, name=f"{what}.{form}", media_type=_MEDIA_TYPES[form])
