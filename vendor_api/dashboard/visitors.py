"""Who opens a page: a person with a session, or a program with an operator's key."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Annotated
from urllib.parse import quote

from fastapi import Depends, Request
from sqlalchemy import Connection
from starlette.datastructures import UploadFile

from shared.errors import ErrorCode
from vendor_api.admin.gate import recognise_operator
from vendor_api.admin.refusals import read
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import LedgerError
from vendor_api.people.roster import Role
from vendor_api.people.sessions import (
    SEEN_GRAIN,
    OpenSession,
    find_session,
    matches_csrf,
    record_seen,
)

COOKIE = "vl2v_session"
LOGIN = "/dashboard/login"
CSRF_FIELD = "csrf"
CSRF_HEADER = "x-csrf-token"
_READING = {"GET", "HEAD"}

__all__ = [
    "COOKIE",
    "CSRF_FIELD",
    "CSRF_HEADER",
    "LOGIN",
    "ConfirmedVisitor",
    "CurrentVisitor",
    "LoginRequired",
    "Visitor",
    "require",
]


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who is looking or changing; `id` is what the audit log calls them."""

    id: str
    name: str
    role: Role
    csrf: str = field(default="", repr=False)
    """What the forms of this visitor carry; empty for a program, which has no cookie to abuse."""


class LoginRequired(Exception):
    """The page needs somebody; `location` is where to log in first."""

    def __init__(self, location: str) -> None:
        super().__init__(location)
        self.location = location


async def admit_visitor(request: Request, shop: CurrentShop) -> Visitor:
    """Whoever has a session or bears an operator's key.

    A request that may change something must also carry the session's CSRF token, in the form field
    `csrf` or the header `x-csrf-token`. Raises LoginRequired, and VendorError 401 and 403.
    """
    scheme, _, credentials = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer":
        return await _admit_program(request, shop, credentials)
    token = request.cookies.get(COOKIE, "")
    opened = await _find_session(request, shop, token) if token else None
    if opened is None:
        raise LoginRequired(_say_where(request))
    if request.method not in _READING and not matches_csrf(opened.csrf, await _sent(request)):
        raise VendorError(
            ErrorCode.FORBIDDEN,
            "The form is not from a page of this session: nothing was changed. Reload the page and "
            "send it again.",
        )
    person = opened.person
    return Visitor(person.id, person.name, person.role, opened.csrf)


CurrentVisitor = Annotated[Visitor, Depends(admit_visitor)]
"""For a page that everybody who is logged in may see."""
ConfirmedVisitor = Annotated[Visitor, Depends(admit_visitor)]
"""For a route that changes something: the same door, which asks every POST for the CSRF token."""


def require(roles: frozenset[Role]) -> Callable[[Visitor], Awaitable[Visitor]]:
    """A dependency for pages and forms that only these roles may use: `Depends(require(MONEY))`."""

    async def check(visitor: CurrentVisitor) -> Visitor:
        if visitor.role not in roles:
            allowed = " or ".join(sorted(roles))
            raise VendorError(
                ErrorCode.FORBIDDEN,
                f"You are logged in as {visitor.name} ({visitor.role}); this needs {allowed}.",
            )
        return visitor

    return check


async def _admit_program(request: Request, shop: Shop, key: str) -> Visitor:
    operator = await recognise_operator(shop, key)
    if operator is None:
        raise VendorError(
            ErrorCode.INVALID_API_KEY,
            "The operator's key is not known here, was revoked, or has expired.",
            headers={"www-authenticate": "Bearer"},
        )
    if operator.role == "viewer" and request.method not in _READING:
        raise VendorError(ErrorCode.FORBIDDEN, "The operator's key may look, not change anything.")
    return Visitor(operator.id, operator.id, operator.role)


async def _find_session(request: Request, shop: Shop, token: str) -> OpenSession | None:
    def look_up(connection: Connection) -> tuple[OpenSession | None, int]:
        now = read_clock(connection)
        return find_session(connection, now, token), now

    opened, now = await read(shop, look_up)
    if opened is not None and opened.last_seen_at + SEEN_GRAIN < now and not _is_polling(request):
        with suppress(LedgerError):  # looking is possible while the database cannot be written
            await shop.ledger.change("", lambda c, at: record_seen(c, at, token))
    return opened


def _is_polling(request: Request) -> bool:
    """A tile that looks again by itself does not keep its session open."""
    return request.method in _READING and "hx-request" in request.headers


async def _sent(request: Request) -> str:
    header = request.headers.get(CSRF_HEADER)
    if header is not None:
        return header
    value = (await request.form()).get(CSRF_FIELD, "")
    return "" if isinstance(value, UploadFile) else value


def _say_where(request: Request) -> str:
    if request.method not in _READING:
        return LOGIN
    query = f"?{request.url.query}" if request.url.query else ""
    return f"{LOGIN}?next={quote(request.url.path + query, safe='')}"
