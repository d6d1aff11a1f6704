"""Spans of time, and the hours, days and months of UTC that figures are gathered in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Select, literal_column

from vendor_api.db import as_datetime, as_microseconds
from vendor_api.db.clock import DAY, HOUR
from vendor_api.db.schema import INT64

Bucket = Literal["hour", "day", "month"]

DEFAULT_DAYS = 30

__all__ = ["DEFAULT_DAYS", "Bucket", "Range", "bucket_expression", "end_of_bucket", "last_days"]


@dataclass(frozen=True, slots=True)
class Range:
    """From `since` up to, not including, `until`: microseconds; None is no bound."""

    since: int | None = None
    until: int | None = None

    def in_hours(self) -> "Range":
        """The whole hours of UTC that the range touches: usage is kept by the hour."""
        since = None if self.since is None else self.since - self.since % HOUR
        until = None if self.until is None else self.until + -self.until % HOUR
        return Range(since, until)

    def before(self, until: int) -> "Range":
        """The part of the range that lies before that instant too."""
        return Range(self.since, until if self.until is None else min(self.until, until))

    def narrow(self, query: Select[Any], column: ColumnElement[int]) -> Select[Any]:
        """The query for rows whose instant lies inside."""
        if self.since is not None:
            query = query.where(column >= self.since)
        if self.until is not None:
            query = query.where(column < self.until)
        return query


def last_days(now: int, days: int = DEFAULT_DAYS) -> Range:
    """The last days of UTC, the present one included, without an end."""
    return Range(now - now % DAY - (days - 1) * DAY, None)


# A month has no fixed length: only the engine's calendar knows where one begins.
_MONTHS: Mapping[str, str] = {
    "sqlite": "CAST(strftime('%s', {0} / 1000000, 'unixepoch', 'start of month') AS INTEGER)"
    " * 1000000",
    "postgresql": "CAST(EXTRACT(EPOCH FROM date_trunc('month', to_timestamp({0} / 1000000)"
    " AT TIME ZONE 'UTC')) AS BIGINT) * 1000000",
}


def bucket_expression(
    connection: Connection, bucket: Bucket, column: ColumnElement[int]
) -> ColumnElement[int]:
    """The first instant of the hour, day or month of UTC that the column's instant lies in."""
    if bucket == "month":
        name = str(column.compile(dialect=connection.dialect))
        return literal_column(_MONTHS[connection.dialect.name].format(name), INT64)
    return column - column % (HOUR if bucket == "hour" else DAY)


def end_of_bucket(bucket: Bucket, at: int) -> int:
    """The first instant behind the bucket that begins at `at`."""
    if bucket != "month":
        return at + (HOUR if bucket == "hour" else DAY)
    month = as_datetime(at)
    year, number = (month.year + 1, 1) if month.month == 12 else (month.year, month.month + 1)
    return as_microseconds(datetime(year, number, 1, tzinfo=UTC))
