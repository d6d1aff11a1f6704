"""What was embedded, by any of time, account, key, model and modality; by the hour of capture.

Paid items and cost are the journal's (the audit holds each hour equal to it). Items that failed and
repeats within a request are counted nowhere else.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, func, select

from shared.wire import Modality
from vendor_api.db.clock import DAY
from vendor_api.db.tables import usage_rollup
from vendor_api.reports.places import read_place, write_place
from vendor_api.reports.ranges import Bucket, Range, bucket_expression
from vendor_api.reports.windows import find_beginning, look_back

Group = Literal["hour", "day", "month", "account", "key", "model", "modality"]
Outcome = Literal["paid", "free", "failed"]

TIMES: tuple[Bucket, ...] = ("hour", "day", "month")
_KEYS: dict[str, str] = {
    "account": "account_id",
    "key": "key_id",
    "model": "model",
    "modality": "modality",
}
_MEASURES: dict[Outcome, tuple[str, ...]] = {
    "paid": ("items", "cost_nanousd"),
    "free": ("items_free",),
    "failed": ("items_failed",),
}
_ROWS_AT_ONCE = 1000

__all__ = [
    "TIMES",
    "Group",
    "Outcome",
    "Usage",
    "UsagePage",
    "UsageSelection",
    "list_usage",
    "read_usage_total",
    "stream_usage",
]


@dataclass(frozen=True, slots=True)
class UsageSelection:
    """Which usage, and what each row gathers."""

    span: Range = field(default_factory=Range)
    account_id: str | None = None
    key_id: str | None = None
    model: str | None = None
    modality: Modality | None = None
    outcome: Outcome | None = None
    """Only what ended so is counted; what ended otherwise is not said."""
    groups: tuple[Group, ...] = ("day",)
    """At most one of hour, day and month. None at all: one row for everything."""

    def __post_init__(self) -> None:
        if len(set(self.groups) & set(TIMES)) > 1 or len(set(self.groups)) < len(self.groups):
            raise ValueError("group by one of hour, day and month, and by each thing once")

    @property
    def bucket(self) -> Bucket | None:
        """The unit of time that rows gather, if any."""
        return next((bucket for bucket in TIMES if bucket in self.groups), None)

    @property
    def keys(self) -> tuple[str, ...]:
        """The columns beside time that rows gather by, in one order whatever was asked."""
        return tuple(column for group, column in _KEYS.items() if group in self.groups)


@dataclass(frozen=True, slots=True)
class Usage:
    """One row; what it does not gather by, or was not asked for, is None."""

    id: str
    at: int | None
    account_id: str | None
    key_id: str | None
    model: str | None
    modality: str | None
    items: int | None
    """Paid for."""
    items_free: int | None
    items_failed: int | None
    cost_nanousd: int | None


@dataclass(frozen=True, slots=True)
class UsagePage:
    """Some rows, the latest first; `after` leads on, None at the end."""

    rows: list[Usage]
    after: str | None


def list_usage(
    connection: Connection,
    now: int,
    wanted: UsageSelection,
    *,
    after: str | None = None,
    limit: int = 100,
) -> UsagePage:
    """Rows of the selection, the latest first. Raises BadPlace."""
    place = None if after is None else read_place(after, _place_kinds(wanted))

    def fetch(span: Range, count: int) -> list[Usage]:
        query = _select(connection, replace(wanted, span=span), place)
        return [_usage(row, wanted) for row in connection.execute(query.limit(count))]

    span = wanted.span.in_hours()
    if wanted.bucket in ("hour", "day"):
        if place is not None:
            span = span.before(int(place[0]) + DAY)
        found = look_back(span, find_beginning(connection), now, fetch, limit + 1)
    else:
        found = fetch(span, limit + 1)
    rows = found[:limit]
    return UsagePage(rows, rows[-1].id if len(found) > limit else None)


def stream_usage(connection: Connection, wanted: UsageSelection) -> Iterator[Usage]:
    """The same rows, all of them."""
    query = _select(connection, wanted, None)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield _usage(row, wanted)


def read_usage_total(connection: Connection, wanted: UsageSelection) -> Usage:
    """The sums of the whole selection."""
    sums = [func.sum(usage_rollup.c[name]).label(name) for name in _measures(wanted)]
    row = connection.execute(_narrow(select(*sums), wanted)).one()
    return _fill("", row, (), wanted)


def _select(
    connection: Connection, wanted: UsageSelection, place: Sequence[int | str] | None
) -> Select[Any]:
    key: list[ColumnElement[Any]] = [usage_rollup.c[name] for name in wanted.keys]
    order: list[ColumnElement[Any]] = list(key)
    if wanted.bucket is not None:
        at = bucket_expression(connection, wanted.bucket, usage_rollup.c.hour)
        key.insert(0, at.label("at"))
        order.insert(0, at.desc())
    sums = [func.sum(usage_rollup.c[name]).label(name) for name in _measures(wanted)]
    query = _narrow(select(*key, *sums), wanted)
    if place is not None:
        query = query.where(_behind(key, place, latest_first=wanted.bucket is not None))
    if key:
        return query.group_by(*key).order_by(*order)
    return query


def _behind(
    key: Sequence[ColumnElement[Any]], place: Sequence[int | str], *, latest_first: bool
) -> ColumnElement[bool]:
    column = key[0].element if hasattr(key[0], "element") else key[0]
    if len(key) == 1:
        return column < place[0] if latest_first else column > place[0]
    further = column < place[0] if latest_first else column > place[0]
    return further | ((column == place[0]) & _behind(key[1:], place[1:], latest_first=False))


def _narrow(query: Select[Any], wanted: UsageSelection) -> Select[Any]:
    for name in ("account_id", "key_id", "model", "modality"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(usage_rollup.c[name] == value)
    if wanted.outcome is not None:
        query = query.where(usage_rollup.c[_MEASURES[wanted.outcome][0]] > 0)
    return wanted.span.in_hours().narrow(query, usage_rollup.c.hour)


def _measures(wanted: UsageSelection) -> list[str]:
    outcomes = list(_MEASURES) if wanted.outcome is None else [wanted.outcome]
    return [name for outcome in outcomes for name in _MEASURES[outcome]]


def _place_kinds(wanted: UsageSelection) -> list[type]:
    return ([int] if wanted.bucket else []) + [str] * len(wanted.keys)


def _usage(row: Row[Any], wanted: UsageSelection) -> Usage:
    names = (["at"] if wanted.bucket else []) + list(wanted.keys)
    place = [int(row.at) if name == "at" else getattr(row, name) for name in names]
    return _fill(write_place(place), row, names, wanted)


def _fill(place: str, row: Row[Any], names: Sequence[str], wanted: UsageSelection) -> Usage:
    cells: dict[str, Any] = dict.fromkeys(Usage.__slots__)
    cells |= {name: getattr(row, name) for name in names}
    cells |= {name: int(getattr(row, name) or 0) for name in _measures(wanted)}
    if cells["at"] is not None:
        cells["at"] = int(cells["at"])
    return Usage(**{**cells, "id": place})
