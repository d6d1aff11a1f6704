"""Instants and durations as people type them: `90d`, `24h`, `2027-01-31`, ISO 8601."""

import re
from datetime import UTC, datetime

from vendor_api.db.clock import DAY, HOUR, SECOND, as_microseconds

MAX_DURATION = 3660 * DAY
_END = as_microseconds(datetime(9999, 1, 1, tzinfo=UTC))
_UNITS = {"m": 60 * SECOND, "h": HOUR, "d": DAY}
_DURATION = re.compile(r"([0-9]{1,6})([mhd])", re.ASCII)

__all__ = ["parse_duration", "parse_future", "parse_instant"]


def parse_duration(text: str) -> int:
    """Microseconds of `30m`, `24h` or `90d`. Raises ValueError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a duration: write it like 30m, 24h or 90d")
    duration = int(match[1]) * _UNITS[match[2]]
    if duration > MAX_DURATION:
        raise ValueError(f"{text!r} is more than ten years")
    return duration


def parse_instant(text: str) -> int:
    """Microseconds of a date, its first instant in UTC, or of an ISO 8601 time. Raises ValueError."""
    try:
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise ValueError(
            f"{text!r} is not a date: write it like 2027-01-31 or 2027-01-31T12:00:00Z"
        ) from error
    microseconds = as_microseconds(instant if instant.tzinfo else instant.replace(tzinfo=UTC))
    if not 0 <= microseconds < _END:
        raise ValueError(f"{text!r} is not between the years 1970 and 9998")
    return microseconds


def parse_future(text: str, now: int) -> int:
    """Microseconds of an instant after `now`, or of `now` plus a duration. Raises ValueError."""
    if _DURATION.fullmatch(text):
        return now + parse_duration(text)
    instant = parse_instant(text)
    if instant <= now:
        raise ValueError(f"{text!r} is in the past")
    return instant
