"""Whose turn it is: no item is under way in two runs of one cache at a time."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, func, select

from client.budget.entries import UNDER_WAY, Entry
from client.budget.rows import read_row
from client.cache.statements import Statement, given
from client.cache.store import FILE_VIEW
from client.cache.tables import embedding, journal, journal_item, journal_view

__all__ = ["Claim", "find_bought", "find_rivals"]


@dataclass(frozen=True, slots=True)
class Claim:
    """Why a planned request is not to be sent as it is; with neither, it has been marked as sent."""

    rivals: tuple[Entry, ...] = ()
    """Requests of other runs that are under way for some of its items."""
    bought: frozenset[bytes] = field(default_factory=frozenset)
    """Those of its items whose vectors are here by now."""

    @property
    def granted(self) -> bool:
        """Whether it is to be sent now."""
        return not self.rivals and not self.bought


def _view_of(number: Any) -> ColumnElement[str]:
    view = select(journal_view.c.view).where(journal_view.c.journal_id == number)
    return func.coalesce(view.scalar_subquery(), FILE_VIEW)


_MINE, _THEIRS = journal_item.alias(), journal_item.alias()
_RIVALS = Statement(
    select(journal)
    .distinct()
    .select_from(_MINE)
    .join(_THEIRS, _THEIRS.c.digest == _MINE.c.digest)
    .join(journal, journal.c.id == _THEIRS.c.journal_id)
    .where(
        _MINE.c.journal_id == given("number"),
        journal.c.run != given("run"),
        journal.c.state.in_(UNDER_WAY),
        journal.c.revision == given("revision"),
        journal.c.modality == given("modality"),
        _view_of(journal.c.id) == _view_of(given("number")),
    )
    .order_by(journal.c.id)
)
_BOUGHT = Statement(
    select(embedding.c.digest)
    .join(journal_item, journal_item.c.digest == embedding.c.digest)
    .where(
        journal_item.c.journal_id == given("number"),
        embedding.c.revision == given("revision"),
        embedding.c.modality == given("modality"),
        embedding.c.view == _view_of(given("number")),
    )
)


def find_rivals(
    connection: Connection, row: Row[Any], besides: Collection[str] = ()
) -> tuple[Entry, ...]:
    """Other runs' requests, but those of the keys `besides`, that are under way for its items."""
    found = _RIVALS.fetch(connection, run=row.run, **_question(row))
    others = (other for other in found if other.idempotency_key not in besides)
    return tuple(read_row(connection, other) for other in others)


def find_bought(connection: Connection, row: Row[Any]) -> frozenset[bytes]:
    """Those of a request's items whose vectors are in the cache, whatever they were bought for."""
    return frozenset(found.digest for found in _BOUGHT.fetch(connection, **_question(row)))


def _question(row: Row[Any]) -> dict[str, Any]:
    return {"number": row.id, "revision": row.revision, "modality": row.modality}
