"""In which form items were bought: a picture's file and its pixels are two items to the vendor."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, or_, select

from client.cache.digests import CHUNK
from client.cache.receipts import asked_view, join_requests
from client.cache.tables import journal, journal_item

__all__ = ["find_bought_otherwise"]


def find_bought_otherwise(
    connection: Connection, revision: str, digests: Sequence[bytes], *, view: str, pixels: bool
) -> frozenset[bytes]:
    """Those pictures that were paid for only as pixels or, where `pixels` are asked for, only as files.

    They are free again, or repeated, in the form in which they were bought.
    """
    paid = (
        journal.c.revision == revision,
        journal.c.modality == "image",
        journal.c.cost_nanousd.is_not(None),
    )
    if (
        connection.execute(
            select(journal.c.id).where(*paid, _as_pixels(not pixels)).limit(1)
        ).first()
        is None
    ):
        return frozenset()
    query = join_requests(select(journal_item.c.digest)).where(
        *paid, asked_view == view, journal_item.c.error_code.is_(None)
    )
    found: set[bytes] = set()
    for start in range(0, len(digests), CHUNK):
        part = query.where(journal_item.c.digest.in_(digests[start : start + CHUNK]))
        otherwise = _read(connection, part.where(_as_pixels(not pixels)))
        found |= otherwise - _read(connection, part.where(_as_pixels(pixels)))
    return frozenset(found)


def _as_pixels(pixels: bool) -> ColumnElement[bool]:
    if pixels:
        return journal.c.form == "pixels"
    return or_(journal.c.form.is_(None), journal.c.form != "pixels")


def _read(connection: Connection, query: Select[Any]) -> set[bytes]:
    return set(connection.scalars(query))
