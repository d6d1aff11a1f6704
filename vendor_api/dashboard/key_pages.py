"""Keys: all of them in a table, one of them whole, and a new one."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from sqlalchemy import Connection
from starlette.responses import Response

from shared.errors import ErrorCode
from vendor_api.admin import keyring
from vendor_api.admin.documents import IssuedKeyDocument
from vendor_api.admin.fields import KeyId
from vendor_api.admin.holdings import describe_issued
from vendor_api.admin.pricebook import list_models
from vendor_api.admin.refusals import change, read, require_future, survey
from vendor_api.dashboard.callers import KeyVisitor, list_rights
from vendor_api.dashboard.form_pages import show_form, show_refusal
from vendor_api.dashboard.forms import begin, read_form
from vendor_api.dashboard.key_forms import ITEM_CAPS, LIMIT_NAMES, NewKey, make_key_form
from vendor_api.dashboard.key_list import KeySearch, list_key_rows
from vendor_api.dashboard.key_views import find_for_page, show_once
from vendor_api.dashboard.page import render
from vendor_api.dashboard.visitors import CurrentVisitor, Visitor
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.accounts import Account, find_account
from vendor_api.ledger.commands import UnknownAccount
from vendor_api.ledger.jobs import Work

router = APIRouter(prefix="/dashboard/keys", include_in_schema=False)

_DONE = {
    "revoked": "The key is revoked: it opens nothing any more.",
    "limited": "The limits are changed.",
    "capped": "The caps are changed.",
}

__all__ = ["router"]


@router.get("")
async def get_keys(
    request: Request,
    shop: CurrentShop,
    visitor: CurrentVisitor,
    search: Annotated[KeySearch, Query()],
) -> Response:
    """Keys of every account or one, the newest first."""
    found = await survey(
        shop, lambda c: list_key_rows(c, read_clock(c), search, shop.limiter.tally)
    )
    return await render(
        request,
        shop,
        "keys.html",
        visitor=visitor,
        document=found,
        as_of=found.as_of,
        found=found,
        search=search,
        may=list_rights(visitor),
    )


@router.get("/new")
async def get_new(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, account: str = ""
) -> Response:
    """The form that creates a key."""
    form = make_key_form(await _list_models(shop))
    begun = begin({"account": account, "scopes": ["embed", "read"], "models": []})
    return await show_form(request, shop, visitor, form, begun)


@router.post("")
async def post_key(request: Request, shop: CurrentShop, visitor: KeyVisitor) -> Response:
    """Create a key; its text is on this answer's page and nowhere else, ever."""
    form = make_key_form(await _list_models(shop))
    filled = read_form(
        await request.form(),
        NewKey,
        counts=(*LIMIT_NAMES, *ITEM_CAPS),
        several=("scopes", "models"),
    )
    if filled.order is None:
        return await show_form(request, shop, visitor, form, filled)
    try:
        issued = await change(shop, "", _issue(shop, visitor, filled.order))
    except VendorError as error:
        return await show_refusal(request, shop, visitor, form, filled, error)
    return await show_once(request, shop, visitor, issued)


@router.get("/{key_id}")
async def get_key(
    request: Request, shop: CurrentShop, visitor: CurrentVisitor, key_id: KeyId, done: str = ""
) -> Response:
    """One key: what it may do, its caps and limits, and what can be done with it."""
    key = await find_for_page(shop, key_id)
    return await render(
        request,
        shop,
        "key.html",
        visitor=visitor,
        document=key,
        key=key,
        done=_DONE.get(done),
        may=list_rights(visitor),
    )


def _issue(shop: Shop, visitor: Visitor, order: NewKey) -> Work[IssuedKeyDocument]:
    pepper = shop.authenticator.pepper
    caps = {window: cap for window, cap in order.caps.items() if cap is not None}

    def work(connection: Connection, now: int) -> IssuedKeyDocument:
        require_future(now, order.expires_at, "expires_at")
        account_id = _find_owner(connection, order.account).id
        key = keyring.create_key(connection, now, visitor.id, pepper, account_id, order.settings)
        if caps:
            keyring.change_caps(connection, now, visitor.id, key.key_id, caps)
        return describe_issued(connection, now, key)

    return work


async def _list_models(shop: Shop) -> list[str]:
    served = {model_id for model_id, _ in shop.catalogue.states()}
    return sorted(served | set(await read(shop, list_models)))


def _find_owner(connection: Connection, id_or_name: str) -> Account:
    try:
        return find_account(connection, id_or_name)
    except UnknownAccount as error:
        sentence = "There is no account of this id or name."
        raise VendorError(ErrorCode.NOT_FOUND, sentence, param="account") from error
