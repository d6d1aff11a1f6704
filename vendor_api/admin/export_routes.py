"""Operators' routes for taking the books away as files."""

import tempfile
from collections.abc import Iterator
from typing import IO, Annotated

from fastapi import APIRouter, Query
from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from shared.errors import ErrorCode
from vendor_api.admin.gate import PREFIX
from vendor_api.admin.refusals import survey
from vendor_api.admin.selections import SpanSelection
from vendor_api.admin.sheets import Form, write_rows
from vendor_api.dependencies import CurrentShop
from vendor_api.ledger.exports import COLUMNS, What, export_rows
from vendor_api.openapi import responses

_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_IN_MEMORY = 2**20
_CHUNK = 2**16

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

    def query(connection: Connection) -> IO[bytes]:
        # A slow reader must not hold a transaction open: the rows wait in a file of their own.
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        rows = export_rows(
            connection, what, account_id=span.account_id, since=span.since, until=span.until
        )
        write_rows(rows, COLUMNS[what], form, file)
        file.seek(0)
        return file

    file = await survey(shop, query)
    return StreamingResponse(
        _read(file),
        media_type=_MEDIA_TYPES[form],
        headers={"content-disposition": f'attachment; filename="{what}.{form}"'},
    )


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
