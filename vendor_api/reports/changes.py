"""The audit log, the latest first: who changed what, and when."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from vendor_api.db.tables import audit_log
from vendor_api.reports.places import read_place, write_place
from vendor_api.reports.ranges import Range

_ROWS_AT_ONCE = 1000

__all__ = [
    "Change",
    "ChangePage",
    "ChangeSelection",
    "list_change_kinds",
    "list_changes",
    "stream_changes",
]


@dataclass(frozen=True, slots=True)
class ChangeSelection:
    """Which changes; words must match exactly."""

    actor: str | None = None
    action: str | None = None
    subject: str | None = None
    span: Range = field(default_factory=Range)


@dataclass(frozen=True, slots=True)
class Change:
    """One change that somebody made; `detail` is JSON."""

    id: str
    at: int
    actor: str
    action: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class ChangePage:
    """Some changes, the latest first; `after` leads on, None at the end."""

    rows: list[Change]
    after: str | None


def list_changes(
    connection: Connection,
    wanted: ChangeSelection,
    *,
    after: str | None = None,
    limit: int = 100,
) -> ChangePage:
    """Changes behind `after`. Raises BadPlace."""
    query = _select(wanted)
    if after is not None:
        at, change_id = read_place(after, (int, str))
        earlier = audit_log.c.at < at
        query = query.where(earlier | ((audit_log.c.at == at) & (audit_log.c.id < change_id)))
    found = connection.execute(query.limit(limit + 1)).all()
    rows = [_change(row) for row in found[:limit]]
    more = len(found) > limit
    return ChangePage(rows, write_place([rows[-1].at, rows[-1].id]) if more else None)


def stream_changes(connection: Connection, wanted: ChangeSelection) -> Iterator[Change]:
    """The same rows, all of them."""
    query = _select(wanted)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield _change(row)


def list_change_kinds(connection: Connection) -> list[str]:
    """Every kind of change there has been."""
    query = select(audit_log.c.action).distinct().order_by(audit_log.c.action)
    return list(connection.execute(query).scalars())


def _select(wanted: ChangeSelection) -> Select[Any]:
    columns = [audit_log.c[name] for name in Change.__slots__]
    query = select(*columns).order_by(audit_log.c.at.desc(), audit_log.c.id.desc())
    for name in ("actor", "action", "subject"):
        value = getattr(wanted, name)
        if value is not None:
            query = query.where(audit_log.c[name] == value)
    return wanted.span.narrow(query, audit_log.c.at)


def _change(row: Row[Any]) -> Change:
    return Change(**row._mapping)
