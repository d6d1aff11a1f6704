"""Files that are made from one state of the books and then sent at the reader's own pace."""

import tempfile
from collections.abc import Callable, Iterator
from typing import IO

from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from vendor_api.admin.refusals import survey
from vendor_api.dependencies import Shop

_IN_MEMORY = 2**20
_CHUNK = 2**16

__all__ = ["send_file"]


async def send_file(
    shop: Shop,
    write: Callable[[Connection, IO[bytes]], object],
    *,
    name: str,
    media_type: str,
) -> StreamingResponse:
    """What `write(connection, file)` writes, as a download called `name`. Raises VendorError."""

    def query(connection: Connection) -> IO[bytes]:
        # A slow reader must not hold a transaction open: the rows wait in a file of their own.
        file = tempfile.SpooledTemporaryFile(_IN_MEMORY)  # noqa: SIM115
        try:
            write(connection, file)
            file.seek(0)
        except BaseException:
            file.close()
            raise
        return file

    file = await survey(shop, query)
    return StreamingResponse(
        _read(file),
        media_type=media_type,
        headers={"content-disposition": f'attachment; filename="{name}"'},
    )


def _read(file: IO[bytes]) -> Iterator[bytes]:
    with file:
        while chunk := file.read(_CHUNK):
            yield chunk
