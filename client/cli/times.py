"""Times and spans as people type and read them."""

import re
from datetime import UTC, datetime, timedelta

from client.errors import UsageError

_UNITS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}

__all__ = ["read_span_ns", "read_time", "read_time_ns", "show_time"]


def read_time(text: str | None) -> datetime | None:
    """An ISO 8601 day or instant, in UTC unless it says. Raises UsageError."""
    if text is None:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(f"{text!r} is not a time: write it like 2026-11-22T09:00") from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def read_time_ns(text: str | None) -> int | None:
    """`read_time` in nanoseconds since 1970."""
    time = read_time(text)
    return None if time is None else round(time.timestamp()) * 10**9


def read_span_ns(text: str) -> int:
    """Nanoseconds of a span like 12h, 90d or 6w. Raises UsageError."""
    match = re.fullmatch(r"(\d{1,5})([hdw])", text.strip(), re.ASCII)
    if match is None:
        raise UsageError(f"{text!r} is not a span of time: write it like 12h, 90d or 6w")
    return int(match[1]) * (_UNITS[match[2]] // timedelta(microseconds=1)) * 1000


def show_time(time_ns: int | None) -> str:
    """ISO 8601 in UTC to the second; a dash for none."""
    if time_ns is None:
        return "–"
    return datetime.fromtimestamp(time_ns // 10**9, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
