"""Whose turn it is: no item is under way in two runs of one cache at a time."""

from collections.abc import Collection
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, and_, func, select

from client.budget.entries import UNDER_WAY, Entry
from client.budget.rows import read_row
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


def find_rivals(
    connection: Connection, row: Row[Any], besides: Collection[str] = ()
) -> tuple[Entry, ...]:
    """Other runs' requests, but those of the keys `besides`, that are under way for its items."""
    mine, theirs = journal_item.alias(), journal_item.alias()
    query = (
        select(journal)
        .distinct()
        .select_from(mine)
        .join(theirs, theirs.c.digest == mine.c.digest)
        .join(journal, journal.c.id == theirs.c.journal_id)
        .where(
            mine.c.journal_id == row.id,
            journal.c.run != row.run,
            journal.c.state.in_(UNDER_WAY),
            journal.c.idempotency_key.not_in(list(besides)),
            _same_question(journal.c, row),
            _view_of(journal.c.id) == _view_of(row.id),
        )
        .order_by(journal.c.id)
    )
    return tuple(read_row(connection, other) for other in connection.execute(query).all())


def find_bought(connection: Connection, row: Row[Any]) -> frozenset[bytes]:
    """Those of a request's items whose vectors are in the cache, whatever they were bought for."""
    query = (
        select(embedding.c.digest)
        .join(journal_item, journal_item.c.digest == embedding.c.digest)
        .where(
            journal_item.c.journal_id == row.id,
            embedding.c.revision == row.revision,
            embedding.c.modality == row.modality,
            embedding.c.view == _view_of(row.id),
        )
    )
    return frozenset(connection.execute(query).scalars())


def _same_question(columns: Any, row: Row[Any]) -> ColumnElement[bool]:
    return and_(columns.revision == row.revision, columns.modality == row.modality)


def _view_of(number: Any) -> ColumnElement[str]:
    view = select(journal_view.c.view).where(journal_view.c.journal_id == number)
    return func.coalesce(view.scalar_subquery(), FILE_VIEW)
