"""The latest rows of a long span, found by looking back a little at a time.

A page shows a hundred rows: gathering years of usage to show the last day of it would take seconds.
"""

from collections.abc import Callable
from typing import Protocol, TypeVar

from sqlalchemy import Connection, func, select

from vendor_api.db.clock import DAY
from vendor_api.db.tables import usage_rollup
from vendor_api.reports.ranges import Range

FIRST_WINDOW = 2 * DAY

__all__ = ["find_beginning", "look_back"]


class Dated(Protocol):
    """A row that says which hour or day it is about."""

    @property
    def at(self) -> int | None: ...


T = TypeVar("T", bound=Dated)


def look_back(
    span: Range, beginning: int, now: int, fetch: Callable[[Range, int], list[T]], wanted: int
) -> list[T]:
    """The first `wanted` rows of `span`, the latest first, of which none is before `beginning`.

    `fetch(range, limit)` gives the rows of a range, whose inner bounds are whole days of UTC.
    """
    floor = max(beginning, span.since or 0)
    found: list[T] = []
    end, width = span.until, FIRST_WINDOW
    while len(found) < wanted:
        start = (now if end is None else min(end, now + DAY)) - width
        start -= start % DAY
        last = start <= floor
        window = Range(span.since if last else start, end)
        found += fetch(window, wanted - len(found))
        if last:
            break
        end, width = start, 2 * width
    return found


def find_beginning(connection: Connection) -> int:
    """The first hour with usage, microseconds; 0 when there is none."""
    return int(connection.execute(select(func.min(usage_rollup.c.hour))).scalar_one() or 0)
