"""Spans of whole hours, and buckets of UTC, on both engines as Python's calendar has them."""

from datetime import UTC, datetime
from typing import Any, get_args

import pytest
from sqlalchemy import literal, select

from vendor_api.db import as_microseconds
from vendor_api.db.clock import HOUR
from vendor_api.db.schema import INT64
from vendor_api.reports.ranges import Bucket, Range, bucket_expression, end_of_bucket

EDGES = [
    datetime(2024, 2, 29, 23, tzinfo=UTC),
    datetime(2024, 3, 1, tzinfo=UTC),
    datetime(2025, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC),
    datetime(2026, 1, 1, tzinfo=UTC),
    datetime(2026, 3, 29, 1, 30, tzinfo=UTC),
    datetime(2026, 11, 26, 12, 34, 56, 789_012, tzinfo=UTC),
]


def first_instant(at: datetime, bucket: Bucket) -> datetime:
    hour = at.replace(minute=0, second=0, microsecond=0)
    if bucket == "hour":
        return hour
    return hour.replace(hour=0) if bucket == "day" else hour.replace(day=1, hour=0)


def test_a_span_counts_the_whole_hours_that_it_touches() -> None:
    assert Range(HOUR + 1, 3 * HOUR + 1).in_hours() == Range(HOUR, 4 * HOUR)
    assert Range(HOUR, 3 * HOUR).in_hours() == Range(HOUR, 3 * HOUR)
    assert Range(2 * HOUR - 1, 2 * HOUR - 1).in_hours() == Range(HOUR, 2 * HOUR)
    assert Range().in_hours() == Range()


@pytest.mark.parametrize("bucket", get_args(Bucket))
def test_buckets_begin_and_end_where_the_calendar_says(bucket: Any, database: Any) -> None:
    with database.read() as connection:

        def gather(at: int) -> int:
            given = select(literal(at, INT64).label("at")).subquery()
            query = select(bucket_expression(connection, bucket, given.c.at)).select_from(given)
            return int(connection.execute(query).scalar_one())

        for at in EDGES:
            found = gather(as_microseconds(at))
            assert found == as_microseconds(first_instant(at, bucket))
            end = end_of_bucket(bucket, found)
            assert found <= as_microseconds(at) < end
            assert gather(end) == end
