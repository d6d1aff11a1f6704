"""A person's own page: another password, and where they are logged in."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import Response

from shared.errors import ErrorCode
from vendor_api.admin.refusals import change, read
from vendor_api.dashboard.login import address_of, enter
from vendor_api.dashboard.page import render
from vendor_api.dashboard.visitors import COOKIE, ConfirmedVisitor, CurrentVisitor, Visitor
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.people.lockout import LockedOut, count_attempt
from vendor_api.people.passwords import MIN_LENGTH, TooManyHashes, check_password
from vendor_api.people.roster import find_named
from vendor_api.people.sessions import Place, list_places
from vendor_api.people.staff import change_password

PATH = "/dashboard/me"

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


class PlaceDocument(BaseModel):
    """One session."""

    created_at: str
    last_seen_at: str
    expires_at: str
    address: str
    agent: str
    here: bool


class Self(BaseModel):
    """Who is asking, and where they are logged in."""

    id: str
    name: str
    role: str
    sessions: list[PlaceDocument]


@router.get(PATH)
async def get_me(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """Where the visitor is logged in, and a form for another password."""
    return await _show(request, shop, visitor)


@router.post(f"{PATH}/password")
async def post_password(
    request: Request,
    shop: CurrentShop,
    visitor: ConfirmedVisitor,
    present: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
) -> Response:
    """Change the password; every other session ends, and this one is renewed."""
    if not visitor.csrf:
        raise VendorError(ErrorCode.FORBIDDEN, "An operator's key has no password.")
    try:
        hashed = await _prove(request, shop, visitor, present, password, again)
    except ValueError as error:
        return await _show(request, shop, visitor, status=400, error=f"{str(error).capitalize()}.")
    except LockedOut as error:
        raise VendorError(ErrorCode.RATE_LIMITED, "Too many wrong passwords.") from error
    except TooManyHashes as error:
        raise VendorError(ErrorCode.OVERLOADED, "Too many people log in: try again.") from error
    person = await change(
        shop, "", lambda c, now: change_password(c, now, visitor.id, visitor.id, hashed)
    )
    return await enter(request, shop, person, PATH, known=person.name)


async def _prove(
    request: Request, shop: Shop, visitor: Visitor, present: str, password: str, again: str
) -> str:
    """The hash of the new password, once the present one was right. Raises ValueError."""
    if check_password(password) != check_password(again):
        raise ValueError("the two passwords differ")
    address = address_of(request)
    await change(shop, "", lambda c, now: count_attempt(c, now, visitor.name, address))
    found = await read(shop, lambda c: find_named(c, visitor.name))
    if found is None or not await shop.passwords.matches(found[1], present):
        raise ValueError("the present password is wrong")
    return await shop.passwords.hash(password)


async def _show(
    request: Request, shop: Shop, visitor: Visitor, *, status: int = 200, error: str = ""
) -> Response:
    token = request.cookies.get(COOKIE, "")

    def query(connection: Connection) -> tuple[int, list[Place]]:
        now = read_clock(connection)
        return now, list_places(connection, now, visitor.id, token)

    now, places = await read(shop, query)
    return await render(
        request,
        shop,
        "me.html",
        visitor=visitor,
        document=_describe(visitor, places),
        status=status,
        as_of=now,
        places=places,
        error=error,
        min_length=MIN_LENGTH,
    )


def _describe(visitor: Visitor, places: list[Place]) -> Self:
    sessions = [
        PlaceDocument(
            created_at=format_instant(each.created_at),
            last_seen_at=format_instant(each.last_seen_at),
            expires_at=format_instant(each.expires_at),
            address=each.address,
            agent=each.agent,
            here=each.here,
        )
        for each in places
    ]
    return Self(id=visitor.id, name=visitor.name, role=visitor.role, sessions=sessions)
