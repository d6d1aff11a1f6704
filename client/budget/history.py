"""The journal read back: every request with when it was planned, what it asked, what it cost."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Select, case, func, select

from client.budget.entries import State
from client.cache.database import Database
from client.cache.store import FILE_VIEW, Purpose
from client.cache.tables import budget, journal, journal_item, journal_view
from shared.wire import Modality

PAGE = 500
"""Requests read at a time."""

__all__ = ["HistoryFilter", "HistoryLine", "count_history", "read_history"]


@dataclass(frozen=True, slots=True)
class HistoryFilter:
    """Which requests; what is None does not narrow."""

    run: str | None = None
    project: str | None = None
    state: State | None = None
    model_id: str | None = None
    idempotency_key: str | None = None
    since_ns: int | None = None
    """Planned then or later, nanoseconds since 1970."""
    until_ns: int | None = None
    """Planned before."""


@dataclass(frozen=True, slots=True)
class HistoryLine:
    """One request as the journal has it."""

    id: int
    run: str
    project: str
    idempotency_key: str
    state: State
    model_id: str
    revision: str
    modality: Modality
    view: str
    purpose: Purpose
    items: int
    """Asked for."""
    refused: int
    """Of these, without a vector and free."""
    held_nanousd: int
    cost_nanousd: int | None
    """By the vendor's receipt; None before there is one."""
    charge_id: str | None
    request_id: str | None
    problem: str | None
    planned_ns: int
    sent_ns: int | None
    closed_ns: int | None


def read_history(
    database: Database, which: HistoryFilter | None = None, *, newest_first: bool = False
) -> Iterator[HistoryLine]:
    """The requests, one by one; read a page at a time, so that memory stays as it is."""
    query = _narrow(_select_lines(), which or HistoryFilter())
    query = query.order_by(journal.c.id.desc() if newest_first else journal.c.id)
    last: int | None = None
    while True:
        page = query.limit(PAGE)
        if last is not None:
            page = page.where(journal.c.id < last if newest_first else journal.c.id > last)
        with database.read() as connection:
            rows = connection.execute(page).all()
        for row in rows:
            yield HistoryLine(*row)
        if len(rows) < PAGE:
            return
        last = rows[-1].id


def count_history(database: Database, which: HistoryFilter | None = None) -> int:
    """How many requests there are."""
    query = _narrow(
        select(func.count()).select_from(journal).outerjoin(budget, budget.c.run == journal.c.run),
        which or HistoryFilter(),
    )
    with database.read() as connection:
        return int(connection.execute(query).scalar_one())


def _select_lines() -> Select[Any]:
    of_it = journal_item.c.journal_id == journal.c.id
    asked = select(func.count()).select_from(journal_item).where(of_it)
    refused = select(
        func.coalesce(func.sum(case((journal_item.c.error_code.is_not(None), 1), else_=0)), 0)
    ).where(of_it)
    return (
        select(
            journal.c.id,
            journal.c.run,
            budget.c.project,
            journal.c.idempotency_key,
            journal.c.state,
            journal.c.model_id,
            journal.c.revision,
            journal.c.modality,
            func.coalesce(journal_view.c.view, FILE_VIEW),
            journal.c.purpose,
            asked.scalar_subquery(),
            refused.scalar_subquery(),
            journal.c.held_nanousd,
            journal.c.cost_nanousd,
            journal.c.charge_id,
            journal.c.request_id,
            journal.c.problem,
            journal.c.planned_ns,
            journal.c.sent_ns,
            journal.c.closed_ns,
        )
        .select_from(journal)
        .outerjoin(budget, budget.c.run == journal.c.run)
        .outerjoin(journal_view, journal_view.c.journal_id == journal.c.id)
    )


def _narrow(query: Select[Any], which: HistoryFilter) -> Select[Any]:
    for column, value in (
        (journal.c.run, which.run),
        (budget.c.project, which.project),
        (journal.c.state, which.state),
        (journal.c.model_id, which.model_id),
        (journal.c.idempotency_key, which.idempotency_key),
    ):
        if value is not None:
            query = query.where(column == value)
    if which.since_ns is not None:
        query = query.where(journal.c.planned_ns >= which.since_ns)
    if which.until_ns is not None:
        query = query.where(journal.c.planned_ns < which.until_ns)
    return query
