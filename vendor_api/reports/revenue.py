"""What each model earned, day by day of UTC, from each account."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Subquery,
    func,
    literal,
    select,
    union_all,
)

from vendor_api.db.clock import DAY
from vendor_api.db.tables import account, ledger_entry, ledger_txn, usage_rollup
from vendor_api.reports.movements import is_kind, is_owner, not_captures
from vendor_api.reports.places import read_place, write_place
from vendor_api.reports.ranges import Range
from vendor_api.reports.windows import find_beginning, look_back

_REVENUE = "revenue:"
_ROWS_AT_ONCE = 1000

__all__ = [
    "Revenue",
    "RevenuePage",
    "RevenueSelection",
    "list_revenue",
    "read_revenue_by_day",
    "read_revenue_total",
    "stream_revenue",
]


@dataclass(frozen=True, slots=True)
class RevenueSelection:
    """Which revenue: over the whole hours of a span, of one account or all, of one model or all."""

    span: Range = field(default_factory=Range)
    account_id: str | None = None
    model: str | None = None


@dataclass(frozen=True, slots=True)
class Revenue:
    """What was captured on a day, and what was refunded on it; both from the journal's own days."""

    id: str
    at: int
    model: str
    account_id: str
    account: str
    captured_nanousd: int
    refunded_nanousd: int
    revenue_nanousd: int
    """Captured less refunded."""


@dataclass(frozen=True, slots=True)
class RevenuePage:
    """Some rows, the latest day first; `after` leads on, None at the end."""

    rows: list[Revenue]
    after: str | None


def list_revenue(
    connection: Connection,
    now: int,
    wanted: RevenueSelection,
    *,
    after: str | None = None,
    limit: int = 100,
) -> RevenuePage:
    """Revenue by day, model and account. Raises BadPlace."""
    place = None if after is None else read_place(after, (int, str, str))

    def fetch(span: Range, count: int) -> list[Revenue]:
        query = _by_row(replace(wanted, span=span))
        if place is not None:
            query = query.where(_behind(query, place))
        return [_revenue(row) for row in connection.execute(query.limit(count))]

    span = wanted.span.in_hours()
    if place is not None:
        span = span.before(int(place[0]) + DAY)
    found = look_back(span, find_beginning(connection), now, fetch, limit + 1)
    rows = found[:limit]
    return RevenuePage(rows, rows[-1].id if len(found) > limit else None)


def stream_revenue(connection: Connection, wanted: RevenueSelection) -> Iterator[Revenue]:
    """The same rows, all of them."""
    for row in connection.execute(_by_row(wanted), execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield _revenue(row)


def read_revenue_total(connection: Connection, wanted: RevenueSelection) -> tuple[int, int]:
    """Captured and refunded nano-dollars of the whole selection."""
    captured = _choose(select(func.sum(usage_rollup.c.cost_nanousd)), wanted)
    refunds = _refunds(wanted).subquery()
    refunded = select(func.sum(refunds.c.refunded))
    captured_sum, refunded_sum = (
        connection.execute(query).scalar_one() for query in (captured, refunded)
    )
    return int(captured_sum or 0), int(refunded_sum or 0)


def read_revenue_by_day(
    connection: Connection, wanted: RevenueSelection
) -> list[tuple[int, str, int]]:
    """The day's first instant, the model and its revenue in nano-dollars: the oldest day first."""
    parts = _parts(wanted)
    earned = func.sum(parts.c.captured) - func.sum(parts.c.refunded)
    query = select(parts.c.day, parts.c.model, earned).group_by(parts.c.day, parts.c.model)
    rows = connection.execute(query.order_by(parts.c.day, parts.c.model))
    return [(int(day), model, int(total)) for day, model, total in rows]


def _behind(query: Select[Any], place: Sequence[int | str]) -> ColumnElement[bool]:
    parts = query.selected_columns
    day, model, account_id = place
    later = (parts.model > model) | ((parts.model == model) & (parts.account_id > account_id))
    return (parts.at < day) | ((parts.at == day) & later)


def _by_row(wanted: RevenueSelection) -> Select[Any]:
    parts = _parts(wanted)
    key = (parts.c.day.label("at"), parts.c.model, parts.c.account_id)
    sums = (
        func.sum(parts.c.captured).label("captured"),
        func.sum(parts.c.refunded).label("refunded"),
    )
    whole = select(*key, *sums).group_by(*key).subquery()
    query = select(whole, account.c.name.label("account")).join(
        account, account.c.id == whole.c.account_id
    )
    return query.order_by(whole.c.at.desc(), whole.c.model, whole.c.account_id)


def _parts(wanted: RevenueSelection) -> Subquery:
    return union_all(_captures(wanted), _refunds(wanted)).subquery()


def _captures(wanted: RevenueSelection) -> Select[Any]:
    """Captures by the hour of their transaction: the audit holds these equal to the journal."""
    table = usage_rollup.c
    day = (table.hour - table.hour % DAY).label("day")
    query = select(
        day,
        table.model.label("model"),
        table.account_id.label("account_id"),
        func.sum(table.cost_nanousd).label("captured"),
        literal(0).label("refunded"),
    ).group_by(day, table.model, table.account_id)
    return _choose(query, wanted)


def _choose(query: Select[Any], wanted: RevenueSelection) -> Select[Any]:
    query = wanted.span.in_hours().narrow(query, usage_rollup.c.hour)
    for name in ("account_id", "model"):
        if (value := getattr(wanted, name)) is not None:
            query = query.where(usage_rollup.c[name] == value)
    return query


def _refunds(wanted: RevenueSelection) -> Select[Any]:
    at, entry = ledger_txn.c.created_at, ledger_entry.c
    query = (
        select(
            at - at % DAY,
            func.substr(entry.book, len(_REVENUE) + 1),
            ledger_txn.c.account_id,
            literal(0),
            (-entry.amount_nanousd).label("refunded"),
        )
        .join(ledger_entry, entry.txn_id == ledger_txn.c.id)
        .where(not_captures(), is_kind("refund"))
        .where(func.substr(entry.book, 1, len(_REVENUE)) == _REVENUE)
    )
    query = wanted.span.in_hours().narrow(query, at)
    if wanted.account_id is not None:
        query = query.where(is_owner(wanted.account_id))
    if wanted.model is not None:
        query = query.where(entry.book == _REVENUE + wanted.model)
    return query


def _revenue(row: Row[Any]) -> Revenue:
    captured, refunded = int(row.captured), int(row.refunded)
    return Revenue(
        id=write_place([int(row.at), row.model, row.account_id]),
        at=int(row.at),
        model=row.model,
        account_id=row.account_id,
        account=row.account,
        captured_nanousd=captured,
        refunded_nanousd=refunded,
        revenue_nanousd=captured - refunded,
    )
