"""Operators' keys: who may look at everybody's books, and who may change them."""

import hmac
from dataclasses import dataclass, field
from typing import Literal

from sqlalchemy import Connection, Row, insert, select, update

from vendor_api.auth.keys import IssuedKey, hash_secret, make_key, parse_key
from vendor_api.db.clock import SECOND
from vendor_api.db.tables import operator_key

Role = Literal["viewer", "admin"]
"""A viewer reads; an admin also changes."""

USE_GRAIN = 60 * SECOND
"""A key's last use is written at most this often."""

__all__ = [
    "Role",
    "StoredOperator",
    "check_operator",
    "issue_operator",
    "list_operators",
    "record_operator_use",
    "revoke_operator",
]


@dataclass(frozen=True, slots=True)
class StoredOperator:
    """What the database knows of an operator's key."""

    id: str
    name: str
    role: Role
    created_at: int
    expires_at: int | None
    last_used_at: int | None
    revoked_at: int | None
    secret_hmac: bytes = field(repr=False)

    def works_at(self, now: int) -> bool:
        """Whether the key is neither revoked nor past its time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def issue_operator(
    connection: Connection,
    now: int,
    pepper: bytes,
    *,
    name: str,
    role: Role,
    expires_at: int | None = None,
) -> IssuedKey:
    """A new operator's key; only the HMAC of its secret is stored."""
    key = make_key("admin")
    parts = parse_key(key.text, "admin")
    assert parts is not None  # noqa: S101
    row = {
        "id": key.key_id,
        "name": name,
        "role": role,
        "secret_hmac": hash_secret(pepper, parts.secret),
        "created_at": now,
        "expires_at": expires_at,
    }
    connection.execute(insert(operator_key).values(**row))
    return key


def check_operator(
    connection: Connection, now: int, pepper: bytes, text: str
) -> StoredOperator | None:
    """Whose operator's key the text is; None for anything that opens nothing."""
    parts = parse_key(text, "admin")
    if parts is None:
        return None
    found = connection.execute(
        select(operator_key).where(operator_key.c.id == parts.key_id)
    ).one_or_none()
    # An unknown id takes the same road as a wrong secret.
    stored = bytes(32) if found is None else bytes(found.secret_hmac)
    right = hmac.compare_digest(stored, hash_secret(pepper, parts.secret))
    if found is None or not right:
        return None
    operator = _operator(found)
    return operator if operator.works_at(now) else None


def list_operators(connection: Connection) -> list[StoredOperator]:
    """Every operator's key, oldest first."""
    query = select(operator_key).order_by(operator_key.c.created_at, operator_key.c.id)
    return [_operator(row) for row in connection.execute(query)]


def revoke_operator(connection: Connection, now: int, key_id: str) -> bool:
    """End the key at once; False when there is no such key or it was revoked before."""
    live = (operator_key.c.id == key_id, operator_key.c.revoked_at.is_(None))
    statement = update(operator_key).where(*live).values(revoked_at=now)
    return connection.execute(statement).rowcount == 1


def record_operator_use(connection: Connection, now: int, key_id: str) -> None:
    """Remember that the key was used just now."""
    statement = update(operator_key).where(operator_key.c.id == key_id)
    connection.execute(statement.values(last_used_at=now))


def _operator(row: Row[tuple[object, ...]]) -> StoredOperator:
    return StoredOperator(
        id=row.id,
        name=row.name,
        role=row.role,
        created_at=row.created_at,
        expires_at=row.expires_at,
        last_used_at=row.last_used_at,
        revoked_at=row.revoked_at,
        secret_hmac=bytes(row.secret_hmac),
    )
