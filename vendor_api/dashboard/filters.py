"""What a page's address asks for: every filter is in the URL, and a bad one is answered in words."""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeVar
from urllib.parse import urlencode

from fastapi import Request

from shared.errors import ErrorCode
from vendor_api.db import as_datetime, format_instant
from vendor_api.db.clock import DAY
from vendor_api.errors import VendorError
from vendor_api.instants import parse_instant
from vendor_api.reports.ranges import Range, last_days

_PRINTABLE = re.compile(r"[\x20-\x7e]{1,400}", re.ASCII)

T = TypeVar("T")

__all__ = ["Filters", "Preset", "address"]


@dataclass(frozen=True, slots=True)
class Preset:
    """A span that a link offers."""

    title: str
    since: str
    until: str


def address(path: str, asked: Mapping[str, Any] = MappingProxyType({}), **more: Any) -> str:
    """The path with the parameters that are not None; instants, in microseconds, as ISO 8601.

    `more` comes over `asked`, and None takes a parameter away.
    """
    given = {name: value for name, value in {**asked, **more}.items() if value is not None}
    for name in ("since", "until"):
        if isinstance(given.get(name), int):
            given[name] = format_instant(given[name])
    return f"{path}?{urlencode(given, doseq=True)}" if given else path


class Filters:
    """The parameters of one request, read one by one. Every method raises VendorError, 400."""

    def __init__(self, request: Request, now: int) -> None:
        self._query = request.query_params
        self._now = now

    def word(self, name: str) -> str | None:
        """Printable ASCII, without blanks around it; None when it is left empty."""
        value = self._query.get(name, "").strip()
        if not value:
            return None
        if not _PRINTABLE.fullmatch(value):
            raise _refuse(name, "write it in at most 400 plain characters")
        return value

    def choice(self, name: str, choices: Sequence[T]) -> T | None:
        """One of the choices, or None."""
        value = self.word(name)
        if value is not None and value not in choices:
            raise _refuse(name, f"choose one of {', '.join(map(str, choices))}")
        return value  # type: ignore[return-value]

    def mark(self, name: str) -> bool:
        """Whether a box is ticked: `yes`."""
        return self.choice(name, ["yes"]) is not None

    def several(self, name: str, choices: Sequence[T]) -> tuple[T, ...] | None:
        """Some of the choices, given one by one or with commas between; None when it is not given."""
        if name not in self._query:
            return None
        words = [word for text in self._query.getlist(name) for word in text.split(",") if word]
        if not set(words) <= set(choices):
            raise _refuse(name, f"choose among {', '.join(map(str, choices))}")
        return tuple(dict.fromkeys(words))  # type: ignore[arg-type]

    def span(self, *, default: Callable[[int], Range] = last_days) -> Range:
        """`since` up to `until`, which is not included; the default when neither is given.

        Empty is no bound. A date begins at its first instant in UTC.
        """
        if "since" not in self._query and "until" not in self._query:
            return default(self._now)
        found = Range(self._instant("since"), self._instant("until"))
        if None not in (found.since, found.until) and found.since > found.until:  # type: ignore[operator]
            raise _refuse("since", "it is later than `until`: swap them")
        return found

    def asked(self, *names: str) -> dict[str, list[str]]:
        """Those parameters that the address has, empty ones too, for links that keep them."""
        query = self._query
        return {name: query.getlist(name) for name in names if name in query}

    def typed(self, name: str) -> str:
        """What stands in a field, as it was typed."""
        return self._query.get(name, "")

    def presets(self) -> list[Preset]:
        """Spans that end now, in days of UTC."""
        today = as_datetime(self._now).date()
        month = today.replace(day=1)
        days = [("Today", 1), ("7 days", 7), ("30 days", 30), ("90 days", 90)]
        spans = [(title, as_datetime(self._now - (n - 1) * DAY).date()) for title, n in days]
        found = [Preset(title, f"{date}", "") for title, date in spans]
        return [*found, Preset("This month", f"{month}", ""), Preset("All time", "", "")]

    def _instant(self, name: str) -> int | None:
        value = self.word(name)
        if value is None:
            return None
        try:
            return parse_instant(value)
        except ValueError as error:
            raise _refuse(name, str(error)) from error


def _refuse(name: str, advice: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_REQUEST, f"`{name}`: {advice}.", param=name)
