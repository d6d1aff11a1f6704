"""Rows as a file to download: read in one snapshot, then sent as slowly as the reader takes them."""

import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import IO

from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from vendor_api.admin.refusals import survey
from vendor_api.admin.sheets import Cell, Form, write_rows
from vendor_api.dependencies import Shop

_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}
_IN_MEMORY = 2**20
_CHUNK = 2**16

__all__ = ["send_rows"]


async def send_rows(
    shop: Shop,
    name: str,
    form: Form,
    columns: Sequence[str],
    select_rows: Callable[[Connection], Iterable[Mapping[str, Cell]]],
) -> StreamingResponse:
    """The rows as `name`.csv or `name`.ndjson, as of one instant. Raises VendorError."""

    def query(connection: Connection) -> IO[bytes]:
        # A slow reader must not hold a transaction open: the rows wait in a file of their own.
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        write_rows(select_rows(connection), columns, form, file)
        file.seek(0)
        return file

    file = await survey(shop, query)
    return StreamingResponse(
        _read(file),
        media_type=_MEDIA_TYPES[form],
        headers={"content-disposition": f'attachment; filename="{name}.{form}"'},
    )


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
