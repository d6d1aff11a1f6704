"""Takes vectors out of the cache on purpose; what was paid for only on an explicit word."""

import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, case, delete, func, select, true, update

from client.cache.database import Database
from client.cache.inventory import KEY, Key, find_models, sum_receipts
from client.cache.receipts import asked_view, highest_price, stored_at
from client.cache.store import Purpose
from client.cache.tables import embedding, journal, journal_item, journal_view

PAGE = 500
"""Vectors dropped in one transaction; fewer than a statement has parameters."""

__all__ = ["Selection", "Stack", "drop_vectors", "plan_drop"]


@dataclass(frozen=True, slots=True)
class Selection:
    """Which vectors; what is None does not narrow."""

    revision: str | None = None
    purpose: Purpose | None = None
    before_ns: int | None = None
    """Came before this instant, nanoseconds since 1970. Vectors of unknown age are never among them."""

    @property
    def empty(self) -> bool:
        """Whether it narrows nothing, and everything would go."""
        return self == Selection()


@dataclass(frozen=True, slots=True)
class Stack:
    """Selected vectors of one kind."""

    models: tuple[str, ...]
    key: Key
    vectors: int
    free: int
    """Of these, certainly never paid for: the journal has them from a teacher without a price."""
    paid_nanousd: int
    """Their share of the journal's receipts; imported vectors were paid for elsewhere."""


def plan_drop(database: Database, selection: Selection) -> list[Stack]:
    """What dropping would take and what that has cost; changes nothing."""
    where = _match(selection)
    with database.read() as connection:
        models = find_models(connection)
        paid = sum_receipts(connection, where)
        counted = connection.execute(
            select(*KEY, func.count(), func.sum(case((highest_price() == 0, 1), else_=0)))
            .where(where)
            .group_by(*KEY)
            .order_by(*KEY)
        ).all()
    stacks = []
    for revision, modality, purpose, view, count, free in counted:
        key: Key = (revision, modality, purpose, view)
        stacks.append(Stack(models.get(revision, ()), key, count, int(free), paid.get(key, 0)))
    return stacks


def drop_vectors(
    database: Database,
    selection: Selection,
    *,
    drop_paid: bool = False,
    progress: Callable[[int], None] = lambda dropped: None,
    clock: Callable[[], int] = time.time_ns,
) -> int:
    """Drop what is selected, without `drop_paid` only what is free; how many went.

    The journal remembers that they went on purpose. Killed at any moment, the file is whole, and
    dropping again takes the rest. `progress` is told how many went since it was last told.
    """
    where = and_(_match(selection), true() if drop_paid else highest_price() == 0)
    columns = (embedding.c.id, embedding.c.digest)
    query = select(*columns, *KEY).where(where).order_by(embedding.c.id).limit(PAGE)
    last = total = 0
    while True:
        with database.write() as connection:
            rows = connection.execute(query.where(embedding.c.id > last)).all()
            if not rows:
                return total
            _note_drop(connection, rows, clock())
            connection.execute(
                delete(embedding).where(embedding.c.id.in_([row.id for row in rows]))
            )
        last = rows[-1].id
        total += len(rows)
        progress(len(rows))


def _match(selection: Selection) -> ColumnElement[bool]:
    conditions: list[ColumnElement[bool]] = []
    if selection.revision is not None:
        conditions.append(embedding.c.revision == selection.revision)
    if selection.purpose is not None:
        conditions.append(embedding.c.purpose == selection.purpose)
    if selection.before_ns is not None:
        conditions.append(stored_at() < selection.before_ns)
    return and_(true(), *conditions)


def _note_drop(connection: Connection, rows: Any, now: int) -> None:
    digests: dict[tuple[str, str, str], list[bytes]] = defaultdict(list)
    for row in rows:
        digests[row.revision, row.modality, row.view].append(row.digest)
    for (revision, modality, view), gone in digests.items():
        requests = (
            select(journal.c.id)
            .outerjoin(journal_view, journal_view.c.journal_id == journal.c.id)
            .where(
                journal.c.revision == revision, journal.c.modality == modality, asked_view == view
            )
        )
        connection.execute(
            update(journal_item)
            .where(journal_item.c.digest.in_(gone), journal_item.c.journal_id.in_(requests))
            .values(dropped_ns=now)
        )
