"""What an operator does with keys, customers' and operators', each with its line in the audit log."""

from collections.abc import Mapping
from dataclasses import asdict

from sqlalchemy import Connection

from shared.money import format_usd
from vendor_api.admin.actions import Conflict
from vendor_api.admin.log import record_action
from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.operators import Role, issue_operator, revoke_operator
from vendor_api.auth.repository import (
    KeyLimits,
    KeySettings,
    StoredKey,
    find_key,
    issue_key,
    revoke_key,
    rotate_key,
    set_limits,
)
from vendor_api.db import format_instant
from vendor_api.ledger import balance
from vendor_api.ledger.accounts import find_account
from vendor_api.ledger.caps import set_cap
from vendor_api.ledger.commands import CapKind, CapWindow, LedgerError
from vendor_api.ledger.standing import require_open

Caps = Mapping[tuple[CapKind, CapWindow], int | None]
"""Items or nano-dollars a window; None takes the cap away."""

__all__ = [
    "Caps",
    "UnknownKey",
    "change_caps",
    "change_limits",
    "create_key",
    "create_operator",
    "end_key",
    "end_operator",
    "get_key",
    "replace_key",
]


class UnknownKey(LedgerError):
    """There is no such key."""


def get_key(connection: Connection, key_id: str) -> StoredKey:
    """The key of that id, revoked or not. Raises UnknownKey."""
    key = find_key(connection, key_id)
    if key is None:
        raise UnknownKey(key_id)
    return key


def create_key(
    connection: Connection,
    now: int,
    actor: str,
    pepper: bytes,
    account_id: str,
    settings: KeySettings,
) -> IssuedKey:
    """A new key of the account.

    Raises UnknownAccount, AccountClosed, and ValueError for an unknown scope.
    """
    account = find_account(connection, account_id)
    balance.lock(connection, [account.id])  # a closing at the same time ends this key too
    require_open(connection, account.id)
    key = issue_key(connection, now, pepper, account.id, settings=settings)
    detail = {"account_id": account.id} | _describe(settings)
    record_action(
        connection, now, actor=actor, action="key.create", subject=key.key_id, detail=detail
    )
    return key


def replace_key(
    connection: Connection, now: int, actor: str, pepper: bytes, key_id: str, overlap: int
) -> IssuedKey:
    """A successor of the key, which itself ends `overlap` microseconds from now.

    Raises UnknownKey, and Conflict for a key that ended already.
    """
    old = get_key(connection, key_id)
    if not old.works_at(now):
        raise Conflict(f"{key_id} was revoked or has expired: create a new key instead")
    key = rotate_key(connection, now, pepper, old, overlap=overlap)
    ended = get_key(connection, key_id).expires_at
    assert ended is not None  # noqa: S101
    detail = {"old": key_id, "old_expires_at": format_instant(ended)}
    record_action(
        connection, now, actor=actor, action="key.rotate", subject=key.key_id, detail=detail
    )
    return key


def end_key(connection: Connection, now: int, actor: str, key_id: str) -> bool:
    """End the key for ever; False when it was ended before. Raises UnknownKey."""
    get_key(connection, key_id)
    revoked = revoke_key(connection, now, key_id)
    if revoked:
        record_action(connection, now, actor=actor, action="key.revoke", subject=key_id, detail={})
    return revoked


def change_limits(
    connection: Connection, now: int, actor: str, key_id: str, limits: KeyLimits
) -> StoredKey:
    """Let the key ask this fast. Raises UnknownKey."""
    get_key(connection, key_id)
    set_limits(connection, key_id, limits)
    record_action(
        connection, now, actor=actor, action="key.limits", subject=key_id, detail=asdict(limits)
    )
    return get_key(connection, key_id)


def change_caps(connection: Connection, now: int, actor: str, key_id: str, caps: Caps) -> None:
    """Set these caps of the key, leaving its others as they are. Raises UnknownKey."""
    get_key(connection, key_id)
    detail: dict[str, object] = {}
    for (kind, window), cap in sorted(caps.items()):
        set_cap(connection, key_id, kind, window, cap)
        shown = format_usd(cap) if kind == "spend" and cap is not None else cap
        detail[f"{kind}_per_{window}"] = shown
    record_action(connection, now, actor=actor, action="key.caps", subject=key_id, detail=detail)


def create_operator(
    connection: Connection,
    now: int,
    actor: str,
    pepper: bytes,
    name: str,
    role: Role,
    expires_at: int | None,
) -> IssuedKey:
    """A new operator's key."""
    key = issue_operator(connection, now, pepper, name=name, role=role, expires_at=expires_at)
    detail = {"name": name, "role": role}
    record_action(
        connection, now, actor=actor, action="operator.create", subject=key.key_id, detail=detail
    )
    return key


def end_operator(connection: Connection, now: int, actor: str, key_id: str) -> bool:
    """End an operator's key; False when there is none or it was ended before."""
    revoked = revoke_operator(connection, now, key_id)
    if revoked:
        record_action(
            connection, now, actor=actor, action="operator.revoke", subject=key_id, detail={}
        )
    return revoked


def _describe(settings: KeySettings) -> dict[str, object]:
    # Not the name: the log is for ever, and the names of a closed account's keys are not.
    return {
        "scopes": sorted(settings.scopes),
        "expires_at": None if settings.expires_at is None else format_instant(settings.expires_at),
        "models": None if settings.models is None else sorted(settings.models),
        **asdict(settings.limits),
    }
