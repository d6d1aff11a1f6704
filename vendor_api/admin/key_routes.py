"""Operators' routes for customers' keys: issue, replace, end, limit, cap."""

from fastapi import APIRouter
from sqlalchemy import Connection

from shared.errors import ErrorCode
from vendor_api.admin import keyring
from vendor_api.admin.documents import IssuedKeyDocument, KeyDocument, Listing
from vendor_api.admin.fields import AccountId, KeyId
from vendor_api.admin.gate import PREFIX, CurrentOperator
from vendor_api.admin.holdings import describe_issued, describe_key, describe_keys
from vendor_api.admin.orders import CapsOrder, KeyOrder, LimitsOrder, RotationOrder
from vendor_api.admin.refusals import change, read, require_future
from vendor_api.auth.repository import list_keys
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.jobs import Work
from vendor_api.openapi import responses

router = APIRouter(prefix=PREFIX)

__all__ = ["router"]


@router.get("/accounts/{account_id}/keys", responses=responses(ErrorCode.NOT_FOUND))
async def get_keys(shop: CurrentShop, account_id: AccountId) -> Listing[KeyDocument]:
    """The account's keys without their secrets, ended ones too."""

    def query(connection: Connection) -> list[KeyDocument]:
        account = find_account(connection, account_id)
        keys = list_keys(connection, account.id)
        return describe_keys(connection, read_clock(connection), keys)

    return Listing(data=await read(shop, query), has_more=False)


@router.post(
    "/accounts/{account_id}/keys", status_code=201, responses=responses(ErrorCode.NOT_FOUND)
)
async def post_key(
    shop: CurrentShop, operator: CurrentOperator, account_id: AccountId, order: KeyOrder
) -> IssuedKeyDocument:
    """Issue a key; its text is in this answer and nowhere else, ever."""
    settings = order.settings
    pepper = shop.authenticator.pepper

    def work(connection: Connection, now: int) -> IssuedKeyDocument:
        require_future(now, settings.expires_at, "expires_at")
        key = keyring.create_key(connection, now, operator.id, pepper, account_id, settings)
        return describe_issued(connection, now, key)

    return await change(shop, "", work)


@router.post(
    "/keys/{key_id}/rotate",
    status_code=201,
    responses=responses(ErrorCode.NOT_FOUND, ErrorCode.CONFLICT),
)
async def post_rotation(
    shop: CurrentShop, operator: CurrentOperator, key_id: KeyId, order: RotationOrder
) -> IssuedKeyDocument:
    """A new key with the same settings and caps; the old one ends after `overlap`."""
    pepper = shop.authenticator.pepper

    def work(connection: Connection, now: int) -> IssuedKeyDocument:
        key = keyring.replace_key(connection, now, operator.id, pepper, key_id, order.overlap)
        return describe_issued(connection, now, key)

    issued = await change(shop, "", work)
    shop.authenticator.forget(key_id)
    return issued


@router.post("/keys/{key_id}/revoke", responses=responses(ErrorCode.NOT_FOUND))
async def post_revocation(
    shop: CurrentShop, operator: CurrentOperator, key_id: KeyId
) -> KeyDocument:
    """End a key for ever; ending it again changes nothing."""

    return await _change_key(
        shop, key_id, lambda c, now: keyring.end_key(c, now, operator.id, key_id)
    )


@router.put("/keys/{key_id}/limits", responses=responses(ErrorCode.NOT_FOUND))
async def put_limits(
    shop: CurrentShop, operator: CurrentOperator, key_id: KeyId, order: LimitsOrder
) -> KeyDocument:
    """How fast the key may ask; what is absent is as fast as the vendor's settings allow."""

    return await _change_key(
        shop,
        key_id,
        lambda c, now: keyring.change_limits(c, now, operator.id, key_id, order.limits),
    )


@router.put("/keys/{key_id}/caps", responses=responses(ErrorCode.NOT_FOUND))
async def put_caps(
    shop: CurrentShop, operator: CurrentOperator, key_id: KeyId, order: CapsOrder
) -> KeyDocument:
    """All caps of the key; what is absent is not capped any more."""
    caps = order.caps
    return await _change_key(
        shop, key_id, lambda c, now: keyring.change_caps(c, now, operator.id, key_id, caps)
    )


async def _change_key(shop: Shop, key_id: str, act: Work[object]) -> KeyDocument:
    """The key after `act`; every process looks it up again."""

    def work(connection: Connection, now: int) -> KeyDocument:
        act(connection, now)
        return describe_key(connection, now, key_id)

    changed = await change(shop, "", work)
    shop.authenticator.forget(key_id)
    return changed
