"""Choosing a password with a one-time link, and with the server's first token the first admin's name."""

from typing import Annotated

from fastapi import APIRouter, Form, Request
from sqlalchemy import Connection
from starlette.responses import Response

from shared.errors import ErrorCode
from vendor_api.admin.refusals import change, read
from vendor_api.dashboard.login import HOME, come_from_here, enter
from vendor_api.dashboard.page import fill
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.people.invitations import SETUP, Invitation, find_invitation
from vendor_api.people.passwords import MIN_LENGTH, TooManyHashes, check_password
from vendor_api.people.roster import Person, find_person, normalise_name
from vendor_api.people.staff import found_vendor, set_first_password

SPENT = "This token was used, has expired, or was mistyped: ask for another one."

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(SETUP)
async def get_setup(request: Request, shop: CurrentShop, token: str = "") -> Response:
    """The form for a link's token, or one that asks for the token."""
    if not token:
        return _show(request, None, None)
    invitation, person = await _look_up(shop, token)
    if invitation is None:
        return _show(request, None, None, status=404, error=SPENT)
    return _show(request, invitation, person, token=token)


@router.post(SETUP)
async def post_setup(
    request: Request,
    shop: CurrentShop,
    token: Annotated[str, Form()] = "",
    name: Annotated[str, Form()] = "",
    password: Annotated[str, Form()] = "",
    again: Annotated[str, Form()] = "",
) -> Response:
    """Set the password, spend the token, and log in."""
    come_from_here(request)
    invitation, person = await _look_up(shop, token)
    if invitation is None:
        return _show(request, None, None, status=404, error=SPENT)
    try:
        if invitation.person_id is None:
            name = normalise_name(name)
        if check_password(password) != check_password(again):
            raise ValueError("the two passwords differ")
        hashed = await shop.passwords.hash(password)
    except ValueError as error:
        sentence = f"{str(error).capitalize()}."
        return _show(
            request, invitation, person, token=token, name=name, status=400, error=sentence
        )
    except TooManyHashes as error:
        raise VendorError(ErrorCode.OVERLOADED, "Too many people log in: try again.") from error
    person = await _settle(shop, token, invitation, name, hashed)
    return await enter(request, shop, person, HOME, known=person.name)


async def _settle(shop: Shop, token: str, invitation: Invitation, name: str, hashed: str) -> Person:
    person_id = invitation.person_id

    def work(connection: Connection, now: int) -> Person:
        if person_id is None:
            return found_vendor(connection, now, token, name, hashed)
        return set_first_password(connection, now, token, person_id, hashed)

    return await change(shop, "", work)


async def _look_up(shop: Shop, token: str) -> tuple[Invitation | None, Person | None]:
    def query(connection: Connection) -> tuple[Invitation | None, Person | None]:
        found = find_invitation(connection, read_clock(connection), token)
        if found is None or found.person_id is None:
            return found, None
        return found, find_person(connection, found.person_id)

    return await read(shop, query)


def _show(
    request: Request,
    invitation: Invitation | None,
    person: Person | None,
    *,
    token: str = "",
    name: str = "",
    status: int = 200,
    error: str = "",
) -> Response:
    return fill(
        request,
        "setup.html",
        status=status,
        invitation=invitation,
        person=person,
        token=token,
        name=name,
        error=error,
        min_length=MIN_LENGTH,
    )
