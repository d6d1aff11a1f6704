"""One-time links: who has one chooses a password, their own or, on a new vendor, the first admin's."""

import hashlib
import secrets
from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, insert, select, update

from vendor_api.db.clock import DAY
from vendor_api.db.tables import invitation

LIFETIME = DAY
SETUP = "/dashboard/setup"
_TOKEN_BYTES = 32

__all__ = [
    "LIFETIME",
    "SETUP",
    "Invitation",
    "end_invitations",
    "find_invitation",
    "invite",
    "link",
    "use_invitation",
]


@dataclass(frozen=True, slots=True)
class Invitation:
    """What a link is good for."""

    person_id: str | None
    """Whose password it sets; None: it makes the first admin."""
    expires_at: int


def invite(connection: Connection, now: int, person_id: str | None) -> str:
    """The token of a link that works once within `LIFETIME`; earlier ones of the person end."""
    if person_id is not None:
        end_invitations(connection, now, person_id)
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row = {
        "token_hash": _hash(token),
        "person_id": person_id,
        "created_at": now,
        "expires_at": now + LIFETIME,
    }
    connection.execute(insert(invitation).values(**row))
    return token


def link(token: str) -> str:
    """Where a browser uses the token, below the vendor's address."""
    return f"{SETUP}?token={token}"


def find_invitation(connection: Connection, now: int, token: str) -> Invitation | None:
    """What the token is good for; None when it was used, has expired, or never was one."""
    query = select(invitation.c.person_id, invitation.c.expires_at).where(*_usable(now, token))
    row = connection.execute(query).one_or_none()
    return None if row is None else Invitation(row.person_id, row.expires_at)


def use_invitation(connection: Connection, now: int, token: str) -> bool:
    """Spend the token; False when somebody else was faster."""
    statement = update(invitation).where(*_usable(now, token)).values(used_at=now)
    return connection.execute(statement).rowcount == 1


def end_invitations(connection: Connection, now: int, person_id: str) -> None:
    """End the person's links that nobody has used."""
    statement = update(invitation).where(invitation.c.person_id == person_id)
    connection.execute(statement.where(invitation.c.used_at.is_(None)).values(used_at=now))


def _usable(now: int, token: str) -> tuple[ColumnElement[bool], ...]:
    return (
        invitation.c.token_hash == _hash(token),
        invitation.c.used_at.is_(None),
        invitation.c.expires_at > now,
    )


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
