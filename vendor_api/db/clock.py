"""Instants as whole microseconds since 1970 in UTC, read from the database's clock."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from vendor_api.db.driver import fetch

SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CLOCKS = {
    # SQLite before 3.42 has no sub-second unixepoch().
    "sqlite": "SELECT CAST(ROUND((julianday('now') - 2440587.5) * 86400000) AS INTEGER) * 1000",
    "postgresql": "SELECT CAST(FLOOR(EXTRACT(EPOCH FROM clock_timestamp()) * 1000000) AS BIGINT)",
}

__all__ = [
    "DAY",
    "HOUR",
    "SECOND",
    "as_datetime",
    "as_microseconds",
    "format_instant",
    "read_clock",
]


def read_clock(connection: Connection) -> int:
    """The database's present, so that processes with other clocks agree about expiry."""
    ((now,),) = fetch(connection, _CLOCKS[connection.dialect.name])
    return int(now)


def as_datetime(microseconds: int) -> datetime:
    """The instant as an aware datetime in UTC."""
    return _EPOCH + timedelta(microseconds=microseconds)


def as_microseconds(instant: datetime) -> int:
    """The instant of an aware datetime. Raises TypeError for a naive one."""
    return (instant - _EPOCH) // timedelta(microseconds=1)


def format_instant(microseconds: int) -> str:
    """ISO 8601 in UTC, as the wire documents carry it."""
    return as_datetime(microseconds).isoformat().replace("+00:00", "Z")
