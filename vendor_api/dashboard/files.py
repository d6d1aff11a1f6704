"""Rows of a page as a file: every row that the page's filters let through, under names that stay."""

from collections.abc import Callable, Iterable
from dataclasses import fields
from typing import Any

from sqlalchemy import Connection
from starlette.responses import StreamingResponse

from vendor_api.admin.sheets import Form
from vendor_api.admin.spooling import send_rows
from vendor_api.dependencies import Shop
from vendor_api.reports.plain import describe_cells

__all__ = ["name_columns", "send_file"]


async def send_file(
    shop: Shop,
    name: str,
    form: Form,
    kind: type[Any],
    select_rows: Callable[[Connection], Iterable[Any]],
) -> StreamingResponse:
    """Rows of the dataclass `kind` as CSV or NDJSON; each amount as an integer and as dollars.

    Raises VendorError.
    """

    def describe_rows(connection: Connection) -> Iterable[dict[str, Any]]:
        return (describe_cells(row) for row in select_rows(connection))

    return await send_rows(shop, name, form, name_columns(kind), describe_rows)


def name_columns(kind: type[Any]) -> list[str]:
    """The columns of such a file, in order."""
    names = [field.name for field in fields(kind)]
    return [
        shown
        for name in names
        for shown in ([name, name.replace("_nanousd", "_usd")] if "_nanousd" in name else [name])
    ]
