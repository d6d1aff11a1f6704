"""Who may open the dashboard: an admin adds people, gives roles, disables, and makes one-time links."""

from typing import Annotated

from fastapi import APIRouter, Depends, Form, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from shared.errors import ErrorCode
from vendor_api.admin.holdings import show_instant
from vendor_api.admin.refusals import change, read
from vendor_api.dashboard.page import HEADERS, render
from vendor_api.dashboard.visitors import Visitor, require
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.people import staff
from vendor_api.people.invitations import link
from vendor_api.people.roster import ADMINS, ROLES, Person, Role, list_people, normalise_name
from vendor_api.people.sessions import count_sessions

PATH = "/dashboard/people"

Admin = Annotated[Visitor, Depends(require(ADMINS))]
Who = Annotated[str, Form(pattern=r"^per_[0-9a-f]{1,40}$")]

router = APIRouter(include_in_schema=False)

__all__ = ["PersonDocument", "Roster", "describe_person", "router"]


class PersonDocument(BaseModel):
    """Somebody who may log in."""

    id: str
    name: str
    role: Role
    created_at: str
    last_login_at: str | None
    disabled_at: str | None
    has_password: bool
    sessions: int


class Roster(BaseModel):
    """Everybody who may log in."""

    data: list[PersonDocument]
    as_of: str


@router.get(PATH)
async def get_people(request: Request, shop: CurrentShop, visitor: Admin) -> Response:
    """Everybody, oldest first."""
    return await _show(request, shop, visitor)


@router.post(PATH)
async def post_person(
    request: Request,
    shop: CurrentShop,
    visitor: Admin,
    name: Annotated[str, Form(max_length=200)],
    role: Annotated[Role, Form()],
) -> Response:
    """Add somebody; the answer shows the one-time link, once."""
    try:
        given = normalise_name(name)
    except ValueError as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"{str(error).capitalize()}.") from error
    person, token = await change(
        shop, "", lambda c, now: staff.hire(c, now, visitor.id, given, role)
    )
    return await _show(request, shop, visitor, status=201, invited=person, token=token)


@router.post(f"{PATH}/reset")
async def post_reset(request: Request, shop: CurrentShop, visitor: Admin, person: Who) -> Response:
    """End the person's password and sessions; the answer shows a new one-time link, once."""
    found, token = await change(shop, "", lambda c, now: staff.reset(c, now, visitor.id, person))
    return await _show(request, shop, visitor, invited=found, token=token)


@router.post(f"{PATH}/role")
async def post_role(
    shop: CurrentShop, visitor: Admin, person: Who, role: Annotated[Role, Form()]
) -> Response:
    """Give the person another role."""
    await change(shop, "", lambda c, now: staff.change_role(c, now, visitor.id, person, role))
    return RedirectResponse(PATH, 303, HEADERS)


@router.post(f"{PATH}/access")
async def post_access(
    shop: CurrentShop, visitor: Admin, person: Who, allowed: Annotated[bool, Form()]
) -> Response:
    """Let the person in no more, or again."""
    turn = staff.enable if allowed else staff.disable
    await change(shop, "", lambda c, now: turn(c, now, visitor.id, person))
    return RedirectResponse(PATH, 303, HEADERS)


@router.post(f"{PATH}/logout")
async def post_logout(shop: CurrentShop, visitor: Admin, person: Who) -> Response:
    """End every session of the person."""
    await change(shop, "", lambda c, now: staff.log_out_everywhere(c, now, visitor.id, person))
    return RedirectResponse(PATH, 303, HEADERS)


def describe_person(person: Person, sessions: int) -> PersonDocument:
    """The person as programs see them."""
    return PersonDocument(
        id=person.id,
        name=person.name,
        role=person.role,
        created_at=format_instant(person.created_at),
        last_login_at=show_instant(person.last_login_at),
        disabled_at=show_instant(person.disabled_at),
        has_password=person.has_password,
        sessions=sessions,
    )


async def _show(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    *,
    status: int = 200,
    invited: Person | None = None,
    token: str | None = None,
) -> Response:
    def query(connection: Connection) -> tuple[int, list[Person], dict[str, int]]:
        now = read_clock(connection)
        return now, list_people(connection), count_sessions(connection, now)

    now, people, sessions = await read(shop, query)
    document: BaseModel | dict[str, str] = Roster(
        data=[describe_person(each, sessions.get(each.id, 0)) for each in people],
        as_of=format_instant(now),
    )
    address = None if token is None else f"{request.base_url}{link(token).removeprefix('/')}"
    if invited is not None and address is not None:
        document = {"id": invited.id, "name": invited.name, "role": invited.role, "link": address}
    return await render(
        request,
        shop,
        "people.html",
        visitor=visitor,
        document=document,
        status=status,
        as_of=now,
        people=people,
        sessions=sessions,
        roles=ROLES,
        invited=invited,
        address=address,
    )
