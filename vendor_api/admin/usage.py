"""How much was embedded, by whom, hour by hour and day by day, by the time of capture in UTC."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, Row, func, select, tuple_

from shared.money import format_usd
from vendor_api.admin.books import Span
from vendor_api.admin.documents import UsageListing, UsageRecord
from vendor_api.db import format_instant
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.tables import usage_rollup

__all__ = ["BadCursor", "Day", "list_days", "list_usage"]


class BadCursor(ValueError):
    """`after` is not what a page before ended with."""


@dataclass(frozen=True, slots=True)
class Day:
    """One day of UTC."""

    at: int
    """Its first instant, microseconds."""
    items: int = 0
    items_free: int = 0
    items_failed: int = 0
    cost_nanousd: int = 0

    def add(self, other: "Day") -> "Day":
        """Both together, from this one's instant on."""
        sums = {name: getattr(self, name) + getattr(other, name) for name in _MEASURES}
        return Day(self.at, **sums)


_USAGE_ORDER = [
    usage_rollup.c[name] for name in ("hour", "account_id", "key_id", "model", "modality")
]


def list_usage(
    connection: Connection,
    now: int,
    span: Span,
    *,
    after: str | None = None,
    limit: int = 100,
) -> UsageListing:
    """Hours of use by the time of capture, oldest first, and the totals of the whole span."""
    hours = Span(span.account_id, _floor(span.since), span.until)
    place = tuple_(*_USAGE_ORDER)
    query = hours.narrow(select(usage_rollup), usage_rollup.c.account_id, usage_rollup.c.hour)
    if after is not None:
        query = query.where(place > tuple_(*_read_cursor(after)))
    rows = connection.execute(query.order_by(*_USAGE_ORDER).limit(limit + 1)).all()
    sums = select(func.sum(usage_rollup.c["items"]), func.sum(usage_rollup.c.cost_nanousd))
    totals = hours.narrow(sums, usage_rollup.c.account_id, usage_rollup.c.hour)
    items, cost = connection.execute(totals).one()
    return UsageListing(
        data=[_usage(row) for row in rows[:limit]],
        has_more=len(rows) > limit,
        total_items=int(items or 0),
        total_cost_usd=format_usd(int(cost or 0)),
        as_of=format_instant(now),
    )


def list_days(connection: Connection, since: int, account_id: str | None = None) -> list[Day]:
    """The days with use of an account, or of all together, from the instant `since` on, latest first."""
    day = (usage_rollup.c.hour - usage_rollup.c.hour % DAY).label("day")
    sums = [func.sum(usage_rollup.c[name]) for name in _MEASURES]
    query = select(day, *sums).where(usage_rollup.c.hour >= since)
    if account_id is not None:
        query = query.where(usage_rollup.c.account_id == account_id)
    rows = connection.execute(query.group_by(day).order_by(day.desc()))
    return [Day(*(int(value) for value in row)) for row in rows]


_MEASURES = ("items", "items_free", "items_failed", "cost_nanousd")


def _read_cursor(after: str) -> Sequence[Any]:
    try:
        place = orjson.loads(base64.urlsafe_b64decode(after.encode()))
    except (binascii.Error, orjson.JSONDecodeError) as error:
        raise BadCursor("`after` is not the id of a row of this listing") from error
    kinds: list[type] = [type(part) for part in place] if isinstance(place, list) else []
    if kinds != [int, str, str, str, str] or "\0" in "".join(place[1:]):
        raise BadCursor("`after` is not the id of a row of this listing")
    return list(place)


def _floor(since: int | None) -> int | None:
    return None if since is None else since - since % HOUR


def _usage(row: Row[Any]) -> UsageRecord:
    place = [getattr(row, column.name) for column in _USAGE_ORDER]
    return UsageRecord(
        id=base64.urlsafe_b64encode(orjson.dumps(place)).decode(),
        account_id=row.account_id,
        hour=format_instant(row.hour),
        key_id=row.key_id,
        model=row.model,
        modality=row.modality,
        items=row.items,
        items_free=row.items_free,
        items_failed=row.items_failed,
        cost_usd=format_usd(row.cost_nanousd),
    )
