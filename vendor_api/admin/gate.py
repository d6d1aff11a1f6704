"""Who may use the operator's routes: a Bearer `vl2v_admin_…`."""

from contextlib import suppress
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from sqlalchemy import Connection

from shared.errors import ErrorCode
from vendor_api.auth.keys import parse_key
from vendor_api.auth.operators import (
    USE_GRAIN,
    Role,
    StoredOperator,
    check_operator,
    record_operator_use,
)
from vendor_api.db import read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import LedgerError
from vendor_api.metering.refusals import translate

PREFIX = "/v1/admin"
_READING = {"GET", "HEAD"}

_bearer = HTTPBearer(
    auto_error=False, scheme_name="OperatorKey", description="An operator's key: vl2v_admin_…"
)

__all__ = [
    "PREFIX",
    "CurrentOperator",
    "Operator",
    "admit_operator",
    "recognise_operator",
]


@dataclass(frozen=True, slots=True)
class Operator:
    """Who is looking or changing; `id` is what the audit log calls them."""

    id: str
    role: Role


async def admit_operator(
    request: Request,
    shop: CurrentShop,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Operator:
    """The operator whose key the request bears; a viewer only for reading."""
    if credentials is None:
        raise _unauthorized("Send an operator's key as `Authorization: Bearer vl2v_admin_…`.")
    if parse_key(credentials.credentials) is not None:
        raise VendorError(ErrorCode.FORBIDDEN, "This needs an operator's key, not a customer's.")
    operator = await recognise_operator(shop, credentials.credentials)
    if operator is None:
        raise _unauthorized("The operator's key is not known here, was revoked, or has expired.")
    if operator.role == "viewer" and request.method not in _READING:
        raise VendorError(ErrorCode.FORBIDDEN, "The operator's key may look, not change anything.")
    return operator


CurrentOperator = Annotated[Operator, Depends(admit_operator)]


async def recognise_operator(shop: Shop, text: str) -> Operator | None:
    """Whose operator's key the text is; None for one that opens nothing. Raises VendorError."""
    if parse_key(text, "admin") is None:
        return None
    pepper = shop.authenticator.pepper

    def look_up(connection: Connection) -> tuple[StoredOperator | None, int]:
        now = read_clock(connection)
        return check_operator(connection, now, pepper, text), now

    try:
        found, now = await shop.ledger.read(look_up)
    except LedgerError as error:
        raise translate(error) from error
    if found is None:
        return None
    if found.last_used_at is None or found.last_used_at + USE_GRAIN < now:
        await _record_use(shop, found.id)
    return Operator(found.id, found.role)


async def _record_use(shop: Shop, key_id: str) -> None:
    def work(connection: Connection, now: int) -> None:
        record_operator_use(connection, now, key_id)

    with suppress(LedgerError):  # reading is possible while the database cannot be written
        await shop.ledger.change("", work)


def _unauthorized(detail: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_API_KEY, detail, headers={"www-authenticate": "Bearer"})
