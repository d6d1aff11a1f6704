"""API keys in the database."""

from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from vendor_api.auth.keys import IssuedKey, hash_secret, make_key, parse_key
from vendor_api.db.tables import api_key

DEFAULT_SCOPES = ("embed", "account")
"""Buy embeddings; read the account's own books."""

__all__ = ["DEFAULT_SCOPES", "StoredKey", "find_key", "issue_key", "list_keys", "revoke_key"]


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What the database knows of a key."""

    id: str
    account_id: str
    name: str
    scopes: frozenset[str]
    secret_hmac: bytes
    created_at: int
    revoked_at: int | None


def issue_key(
    connection: Connection, now: int, pepper: bytes, account_id: str, *, name: str
) -> IssuedKey:
    """A new key of the account; only the HMAC of its secret is stored."""
    key = make_key()
    parts = parse_key(key.text)
    assert parts is not None  # noqa: S101
    row = {
        "id": key.key_id,
        "account_id": account_id,
        "name": name,
        "scopes": " ".join(DEFAULT_SCOPES),
        "secret_hmac": hash_secret(pepper, parts.secret),
        "created_at": now,
    }
    connection.execute(insert(api_key).values(**row))
    return key


def find_key(connection: Connection, key_id: str) -> StoredKey | None:
    """The key of that id, revoked or not."""
    found = _select(connection, api_key.c.id == key_id)
    return found[0] if found else None


def list_keys(connection: Connection, account_id: str | None = None) -> list[StoredKey]:
    """The account's keys, or all, oldest first."""
    if account_id is None:
        return _select(connection)
    return _select(connection, api_key.c.account_id == account_id)


def revoke_key(connection: Connection, now: int, key_id: str) -> bool:
    """End the key for ever; False when there is no such key or it was revoked before."""
    statement = update(api_key).where(api_key.c.id == key_id, api_key.c.revoked_at.is_(None))
    return connection.execute(statement.values(revoked_at=now)).rowcount == 1


def _select(connection: Connection, *conditions: object) -> list[StoredKey]:
    query = select(api_key).order_by(api_key.c.created_at, api_key.c.id)
    for condition in conditions:
        query = query.where(condition)  # type: ignore[arg-type]
    return [
        StoredKey(
            id=row.id,
            account_id=row.account_id,
            name=row.name,
            scopes=frozenset(row.scopes.split()),
            secret_hmac=bytes(row.secret_hmac),
            created_at=row.created_at,
            revoked_at=row.revoked_at,
        )
        for row in connection.execute(query)
    ]
