"""The zone that a visitor reads times in: always named beside them, never used to sum anything."""

from functools import cache
from zoneinfo import ZoneInfo, available_timezones

from fastapi import Request
from starlette.responses import Response

from vendor_api.db import as_datetime

COOKIE = "vl2v_tz"
FIELD = "tz"
UTC = "UTC"
_YEAR_SECONDS = 365 * 24 * 3600

__all__ = ["UTC", "list_others", "list_zones", "read_zone", "remember_zone", "show_instant"]


def read_zone(request: Request) -> str:
    """The IANA zone of `?tz=`, else of the cookie, else UTC; an unknown one is UTC too."""
    for wanted in (request.query_params.get(FIELD), request.cookies.get(COOKIE)):
        if wanted in _known():
            return str(wanted)
    return UTC


def remember_zone(request: Request, answer: Response, zone: str) -> None:
    """Keep a zone that was asked for by `?tz=` for the next pages."""
    if request.query_params.get(FIELD) == zone != request.cookies.get(COOKIE):
        answer.set_cookie(
            COOKIE, zone, max_age=_YEAR_SECONDS, path="/dashboard", httponly=True, samesite="strict"
        )


def list_zones(zone: str) -> list[str]:
    """Zones to choose from, UTC and the present one first."""
    return [*dict.fromkeys((UTC, zone)), *(each for each in _listed() if each not in (UTC, zone))]


def list_others(request: Request) -> list[tuple[str, str]]:
    """What else the page was asked for: another zone shows the same search, page and order."""
    return [each for each in request.query_params.multi_items() if each[0] != FIELD]


def show_instant(microseconds: int, zone: str) -> str:
    """`2026-11-26 04:12:07 UTC`: to the second, with the zone's abbreviation."""
    local = as_datetime(microseconds).astimezone(ZoneInfo(zone))
    return f"{local:%Y-%m-%d %H:%M:%S %Z}"


@cache
def _known() -> frozenset[str | None]:
    return frozenset(available_timezones())


@cache
def _listed() -> tuple[str, ...]:
    return tuple(sorted(str(name) for name in _known() if name and "/" in name))
