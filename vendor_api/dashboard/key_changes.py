"""What changes a key: a successor, its end, its limits, its caps."""

from collections.abc import Callable
from typing import TypeVar

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection
from starlette.responses import RedirectResponse, Response

from vendor_api.admin import keyring
from vendor_api.admin.documents import IssuedKeyDocument
from vendor_api.admin.fields import KeyId
from vendor_api.admin.holdings import describe_issued
from vendor_api.admin.orders import CapsOrder, LimitsOrder, RotationOrder
from vendor_api.admin.refusals import change
from vendor_api.dashboard.callers import AdminVisitor, KeyVisitor
from vendor_api.dashboard.form_pages import (
    CONFIRMED,
    Confirmation,
    Form,
    carry_out,
    show_confirmation,
    show_form,
    show_refusal,
)
from vendor_api.dashboard.forms import Filled, begin, read_form
from vendor_api.dashboard.key_forms import (
    CAPS,
    ITEM_CAPS,
    LIMIT_NAMES,
    LIMITS,
    ROTATION,
    fill_caps,
    fill_limits,
    place_key_form,
)
from vendor_api.dashboard.key_list import KeyRow
from vendor_api.dashboard.key_views import find_for_page, show_once
from vendor_api.dashboard.page import HEADERS
from vendor_api.dashboard.visitors import Visitor
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.jobs import Work

O = TypeVar("O", bound=BaseModel)  # noqa: E741

router = APIRouter(prefix="/dashboard/keys", include_in_schema=False)

__all__ = ["router"]


@router.get("/{key_id}/rotate")
async def get_rotation(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, key_id: KeyId
) -> Response:
    """The form that replaces a key."""
    form = place_key_form(ROTATION, await find_for_page(shop, key_id))
    begun = begin({"overlap": "24h"})
    return await show_form(request, shop, visitor, form, begun)


@router.post("/{key_id}/rotate")
async def post_rotation(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, key_id: KeyId
) -> Response:
    """A successor with the same settings; the old key ends after the overlap."""
    form = place_key_form(ROTATION, await find_for_page(shop, key_id))
    filled = read_form(await request.form(), RotationOrder)
    if filled.order is None:
        return await show_form(request, shop, visitor, form, filled)
    overlap, pepper = filled.order.overlap, shop.authenticator.pepper

    def work(connection: Connection, now: int) -> IssuedKeyDocument:
        key = keyring.replace_key(connection, now, visitor.id, pepper, key_id, overlap)
        return describe_issued(connection, now, key)

    try:
        issued = await change(shop, "", work)
    except VendorError as error:
        return await show_refusal(request, shop, visitor, form, filled, error)
    shop.authenticator.forget(key_id)
    return await show_once(request, shop, visitor, issued)


@router.get("/{key_id}/revoke")
async def get_revocation(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, key_id: KeyId
) -> Response:
    """What ending the key means."""
    return await show_confirmation(request, shop, visitor, _ask(await find_for_page(shop, key_id)))


@router.post("/{key_id}/revoke")
async def post_revocation(
    request: Request, shop: CurrentShop, visitor: KeyVisitor, key_id: KeyId
) -> Response:
    """End the key for ever, once that is confirmed."""
    key = await find_for_page(shop, key_id)
    if not (await request.form()).get(CONFIRMED):
        return await show_confirmation(request, shop, visitor, _ask(key))
    await change(shop, "", lambda c, now: keyring.end_key(c, now, visitor.id, key_id))
    shop.authenticator.forget(key_id)
    return RedirectResponse(f"/dashboard/keys/{key_id}?done=revoked", 303, HEADERS)


@router.get("/{key_id}/limits")
async def get_limits(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, key_id: KeyId
) -> Response:
    """The form for how fast a key may ask."""
    key = await find_for_page(shop, key_id)
    begun = begin(fill_limits(key))
    return await show_form(request, shop, visitor, place_key_form(LIMITS, key), begun)


@router.post("/{key_id}/limits")
async def post_limits(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, key_id: KeyId
) -> Response:
    """Let the key ask this fast."""
    form = place_key_form(LIMITS, await find_for_page(shop, key_id))
    filled = read_form(await request.form(), LimitsOrder, counts=LIMIT_NAMES)

    def plan(order: LimitsOrder) -> Work[object]:
        return lambda c, now: keyring.change_limits(c, now, visitor.id, key_id, order.limits)

    return await _change(request, shop, visitor, form, filled, plan, key_id, "limited")


@router.get("/{key_id}/caps")
async def get_caps(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, key_id: KeyId
) -> Response:
    """The form for a key's caps."""
    key = await find_for_page(shop, key_id)
    begun = begin(fill_caps(key))
    return await show_form(request, shop, visitor, place_key_form(CAPS, key), begun)


@router.post("/{key_id}/caps")
async def post_caps(
    request: Request, shop: CurrentShop, visitor: AdminVisitor, key_id: KeyId
) -> Response:
    """All caps of the key; what is left empty is not capped any more."""
    form = place_key_form(CAPS, await find_for_page(shop, key_id))
    filled = read_form(await request.form(), CapsOrder, counts=ITEM_CAPS)

    def plan(order: CapsOrder) -> Work[object]:
        return lambda c, now: keyring.change_caps(c, now, visitor.id, key_id, order.caps)

    return await _change(request, shop, visitor, form, filled, plan, key_id, "capped")


async def _change(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    form: Form,
    filled: Filled[O],
    plan: Callable[[O], Work[object]],
    key_id: str,
    done: str,
) -> Response:
    answer = await carry_out(
        request, shop, visitor, form, filled, plan, f"/dashboard/keys/{key_id}?done={done}"
    )
    shop.authenticator.forget(key_id)
    return answer


def _ask(key: KeyRow) -> Confirmation:
    return Confirmation(
        title=f"Revoke {key.name or key.id}?",
        action=f"/dashboard/keys/{key.id}/revoke",
        submit="Yes, revoke it for ever",
        back=f"/dashboard/keys/{key.id}",
        facts=(
            ("Key", f"{key.start}_… ({key.id})"),
            ("Account", f"{key.account_name} ({key.account_id})"),
            ("State", key.state),
        ),
        notes=("Whoever uses this key is refused from then on. It cannot be taken back.",),
    )
