"""Logging in and out: a password opens a new session, a wrong one makes the next attempt wait."""

import math
import re
from typing import Annotated

import structlog
from fastapi import APIRouter, Form, Request
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from shared.errors import ErrorCode
from vendor_api.admin.log import record_action
from vendor_api.admin.refusals import change, read
from vendor_api.dashboard.page import HEADERS, fill
from vendor_api.dashboard.visitors import COOKIE, LOGIN, ConfirmedVisitor
from vendor_api.db.clock import SECOND
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.people.lockout import LockedOut, count_attempt, forgive
from vendor_api.people.passwords import TooManyHashes
from vendor_api.people.roster import (
    Person,
    find_named,
    list_people,
    normalise_name,
    record_login,
    set_password,
)
from vendor_api.people.sessions import end_session, open_session
from vendor_api.people.staff import log_out_everywhere

HOME = "/dashboard"
WRONG = "The name or the password is wrong."
_LOCAL = re.compile(r"/dashboard(?:[/?][!-\[\]-~]*)?", re.ASCII)
"""A path of ours, without a backslash, which browsers take for a slash."""

_log = structlog.get_logger("vendor")

router = APIRouter(include_in_schema=False)

__all__ = ["address_of", "come_from_here", "enter", "router"]


@router.get(LOGIN)
async def get_login(request: Request, shop: CurrentShop, next: str = HOME) -> Response:
    """The form."""
    people = await read(shop, list_people)
    return _show(request, next, nobody=not people)


@router.post(LOGIN)
async def post_login(
    request: Request,
    shop: CurrentShop,
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    next: Annotated[str, Form()] = HOME,
) -> Response:
    """A new session for whoever knows the password; anything else gets the same sentence."""
    come_from_here(request)
    address = address_of(request)
    known = _read_name(name)
    try:
        person = await _recognise(shop, known, password, address)
    except LockedOut as error:
        return _make_wait(request, next, name, error)
    except TooManyHashes as error:
        raise VendorError(ErrorCode.OVERLOADED, "Too many people log in: try again.") from error
    if person is None:
        _log.warning("login_refused", address=address)
        return _show(request, next, name=name, status=401, error=WRONG)
    return await enter(request, shop, person, _stay_here(next), known=known)


@router.post("/dashboard/logout")
async def post_logout(
    request: Request,
    shop: CurrentShop,
    visitor: ConfirmedVisitor,
    everywhere: Annotated[str, Form()] = "",
) -> Response:
    """End this session, or every session of this person."""
    token = request.cookies.get(COOKIE, "")

    def work(connection: Connection, now: int) -> None:
        end_session(connection, token)
        if everywhere:
            log_out_everywhere(connection, now, visitor.id, visitor.id)

    await change(shop, "", work)
    answer = RedirectResponse(LOGIN, 303, HEADERS)
    answer.delete_cookie(COOKIE, path=HOME, httponly=True, samesite="strict")
    return answer


async def enter(
    request: Request, shop: Shop, person: Person, location: str, *, known: str
) -> Response:
    """A redirect that carries a fresh session's cookie; the session that came with the request ends."""
    address, agent = address_of(request), request.headers.get("user-agent", "")
    before = request.cookies.get(COOKIE)

    def work(connection: Connection, now: int) -> str:
        if before is not None:
            end_session(connection, before)
        forgive(connection, known, address)
        record_login(connection, now, person.id)
        record_action(
            connection,
            now,
            actor=person.id,
            action="person.login",
            subject=person.id,
            detail={"address": address},
        )
        return open_session(connection, now, person.id, address=address, agent=agent)

    token = await change(shop, "", work)
    answer = RedirectResponse(location, 303, HEADERS)
    answer.set_cookie(
        COOKIE, token, path=HOME, httponly=True, samesite="strict", secure=_is_https(request)
    )
    return answer


def address_of(request: Request) -> str:
    """Where the request comes from; behind a proxy, the proxy."""
    return request.client.host if request.client else "unknown"


def come_from_here(request: Request) -> None:
    """Refuse a form that another site's page sent, where the browser says so. Raises VendorError."""
    if request.headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
        raise VendorError(ErrorCode.FORBIDDEN, "The form is not from a page of this vendor.")


async def _recognise(shop: Shop, name: str, password: str, address: str) -> Person | None:
    """Whose name and password they are. Raises LockedOut and TooManyHashes."""
    await change(shop, "", lambda c, now: count_attempt(c, now, name, address))
    found = await read(shop, lambda c: find_named(c, name))
    person, stored = found or (None, None)
    right = await shop.passwords.matches(stored, password)
    if person is None or stored is None or not right or person.disabled_at is not None:
        return None
    if shop.passwords.is_outdated(stored):
        renewed = await shop.passwords.renew(password)
        await change(shop, "", lambda c, _now: set_password(c, person.id, renewed))
    return person


def _make_wait(request: Request, location: str, name: str, error: LockedOut) -> Response:
    seconds = max(1, math.ceil(error.wait_us / SECOND))
    sentence = f"Too many wrong passwords: try again in {_spell(seconds)}."
    answer = _show(request, location, name=name, status=429, error=sentence)
    answer.headers["retry-after"] = str(seconds)
    return answer


def _show(
    request: Request,
    location: str,
    *,
    name: str = "",
    status: int = 200,
    error: str = "",
    nobody: bool = False,
) -> Response:
    context = {"next": _stay_here(location), "name": name, "error": error, "nobody": nobody}
    return fill(request, "login.html", status=status, **context)


def _spell(seconds: int) -> str:
    return f"{seconds} s" if seconds < 120 else f"{math.ceil(seconds / 60)} minutes"


def _stay_here(location: str) -> str:
    return location if _LOCAL.fullmatch(location) else HOME


def _read_name(text: str) -> str:
    try:
        return normalise_name(text)
    except ValueError:
        return " "  # nobody's name, counted like any other


def _is_https(request: Request) -> bool:
    # The header may be anybody's word: it can only make the cookie of whoever sent it stricter.
    return "https" in (request.url.scheme, request.headers.get("x-forwarded-proto"))
