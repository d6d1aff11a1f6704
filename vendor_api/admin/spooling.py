"""Rows as a file to download: read in one snapshot, then sent as slowly as the reader takes them."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import IO

from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from vendor_api.admin.downloads import send_file
from vendor_api.admin.sheets import Cell, Form, write_rows
from vendor_api.dependencies import Shop

_MEDIA_TYPES = {"csv": "text/csv; charset=utf-8", "ndjson": "application/x-ndjson"}

__all__ = ["send_rows"]


async def send_rows(
    shop: Shop,
    name: str,
    form: Form,
    columns: Sequence[str],
    select_rows: Callable[[Connection], Iterable[Mapping[str, Cell]]],
) -> StreamingResponse:
    """The rows as `name`.csv or `name`.ndjson, as of one instant. Raises VendorError."""

    def write(connection: Connection, file: IO[bytes]) -> None:
        write_rows(select_rows(connection), columns, form, file)

    return await send_file(shop, write, name=f"{name}.{form}", media_type=_MEDIA_TYPES[form])
