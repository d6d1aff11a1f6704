"""What a page reads, over one state of the database, with a bad place in a listing said in words."""

from collections.abc import Callable, Iterable
from typing import TypeVar

from sqlalchemy import Connection, select

from shared.errors import ErrorCode
from vendor_api.admin.refusals import survey
from vendor_api.db.tables import account
from vendor_api.dependencies import Shop
from vendor_api.errors import VendorError
from vendor_api.reports.places import BadPlace

T = TypeVar("T")

__all__ = ["look", "read_names"]


async def look(shop: Shop, query: Callable[[Connection], T]) -> T:
    """The query's result. Raises VendorError."""
    try:
        return await survey(shop, query)
    except BadPlace as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"{error}.", param="after") from error


def read_names(connection: Connection, account_ids: Iterable[str | None]) -> dict[str, str]:
    """The names of some accounts."""
    wanted = {each for each in account_ids if each is not None}
    query = select(account.c.id, account.c.name).where(account.c.id.in_(wanted))
    return {row.id: row.name for row in connection.execute(query)}
