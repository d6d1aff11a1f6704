"""What belongs to an account: its keys with their caps, and its grants."""

from collections.abc import Sequence

from sqlalchemy import Connection, select

from shared.money import format_usd
from vendor_api.admin.books import read_account
from vendor_api.admin.documents import (
    AccountDetail,
    CapDocument,
    GrantDocument,
    IssuedKeyDocument,
    KeyDocument,
)
from vendor_api.admin.keyring import get_key
from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.repository import StoredKey, list_keys
from vendor_api.db import format_instant
from vendor_api.db.tables import credit_grant, ledger_txn
from vendor_api.ledger.caps import CapState, list_caps
from vendor_api.ledger.credits import Grant, list_grants
from vendor_api.spaces.repository import find_space

__all__ = ["describe_account", "describe_issued", "describe_key", "describe_keys", "show_instant"]


def describe_account(connection: Connection, now: int, account_id: str) -> AccountDetail:
    """An account with its balance, grants, keys and caps. Raises UnknownAccount."""
    space = find_space(connection, account_id)
    return AccountDetail(
        **read_account(connection, account_id).model_dump(),
        grants=_describe_grants(connection, account_id),
        keys=describe_keys(connection, now, list_keys(connection, account_id)),
        space_id=None if space is None else space.id,
        as_of=format_instant(now),
    )


def describe_keys(connection: Connection, now: int, keys: Sequence[StoredKey]) -> list[KeyDocument]:
    """The keys without their secrets, with the state of their caps."""
    return [_describe(connection, now, key) for key in keys]


def describe_key(connection: Connection, now: int, key_id: str) -> KeyDocument:
    """One key without its secret. Raises UnknownKey."""
    return _describe(connection, now, get_key(connection, key_id))


def describe_issued(connection: Connection, now: int, key: IssuedKey) -> IssuedKeyDocument:
    """A new key with its text, the only time that it is shown."""
    known = describe_key(connection, now, key.key_id)
    return IssuedKeyDocument(**known.model_dump(), api_key=key.text)


def show_instant(microseconds: int | None) -> str | None:
    """ISO 8601 in UTC; None stays None."""
    return None if microseconds is None else format_instant(microseconds)


def _describe(connection: Connection, now: int, key: StoredKey) -> KeyDocument:
    return KeyDocument(
        id=key.id,
        account_id=key.account_id,
        name=key.name,
        scopes=sorted(key.scopes),
        models=None if key.models is None else sorted(key.models),
        created_at=format_instant(key.created_at),
        expires_at=show_instant(key.expires_at),
        revoked_at=show_instant(key.revoked_at),
        last_used_at=show_instant(key.last_used_at),
        rotated_from=key.rotated_from,
        requests_per_minute=key.limits.requests_per_minute,
        items_per_minute=key.limits.items_per_minute,
        bytes_per_minute=key.limits.bytes_per_minute,
        concurrency=key.limits.concurrency,
        caps=[_cap(state) for state in list_caps(connection, now, key.id)],
    )


def _cap(state: CapState) -> CapDocument:
    def show(amount: int) -> int | str:
        return format_usd(amount) if state.kind == "spend" else amount

    return CapDocument(
        kind=state.kind,
        window=state.window,
        cap=show(state.cap),
        used=show(state.used),
        held=show(state.held),
        resets_at=show_instant(state.resets_at),
    )


def _describe_grants(connection: Connection, account_id: str) -> list[GrantDocument]:
    origins = connection.execute(
        select(credit_grant.c.id, credit_grant.c.txn_id, ledger_txn.c.kind)
        .join(ledger_txn, ledger_txn.c.id == credit_grant.c.txn_id)
        .where(credit_grant.c.account_id == account_id)
    )
    known = {row.id: (row.txn_id, row.kind) for row in origins}
    return [_grant(grant, *known[grant.id]) for grant in list_grants(connection, account_id)]


def _grant(grant: Grant, txn_id: str, kind: str) -> GrantDocument:
    return GrantDocument(
        id=grant.id,
        txn_id=txn_id,
        kind=kind,
        amount_usd=format_usd(grant.amount_nanousd),
        remaining_usd=format_usd(grant.remaining_nanousd),
        granted_at=format_instant(grant.granted_at),
        expires_at=show_instant(grant.expires_at),
    )
