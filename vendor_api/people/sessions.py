"""Sessions of the dashboard: a random token in a cookie, its hash in the database, two clocks over it."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass, field

from sqlalchemy import ColumnElement, Connection, delete, func, insert, select, update

from vendor_api.db.clock import HOUR, SECOND
from vendor_api.db.tables import person, session
from vendor_api.people.roster import Person, read_row

IDLE = HOUR
"""A session that nobody used for so long is over."""
LIFETIME = 12 * HOUR
"""A session is over then, however much it is used."""
SEEN_GRAIN = 60 * SECOND
"""A session's last use is written at most this often."""

_TOKEN_BYTES = 32
_MAX_AGENT = 120

__all__ = [
    "IDLE",
    "LIFETIME",
    "SEEN_GRAIN",
    "OpenSession",
    "Place",
    "count_sessions",
    "end_session",
    "end_sessions",
    "find_session",
    "list_places",
    "make_csrf",
    "matches_csrf",
    "open_session",
    "record_seen",
]


@dataclass(frozen=True, slots=True)
class OpenSession:
    """Somebody who is logged in."""

    person: Person
    last_seen_at: int
    csrf: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Place:
    """One session of a person, as they see it."""

    created_at: int
    last_seen_at: int
    expires_at: int
    address: str
    agent: str
    here: bool


def open_session(
    connection: Connection, now: int, person_id: str, *, address: str = "", agent: str = ""
) -> str:
    """The token of a new session; only its hash is stored. Sessions that are over go away."""
    connection.execute(delete(session).where(session.c.expires_at <= now))
    token = secrets.token_urlsafe(_TOKEN_BYTES)
    row = {
        "token_hash": _hash(token),
        "person_id": person_id,
        "created_at": now,
        "last_seen_at": now,
        "expires_at": now + LIFETIME,
        "address": address,
        "agent": agent[:_MAX_AGENT],
    }
    connection.execute(insert(session).values(**row))
    return token


def find_session(connection: Connection, now: int, token: str) -> OpenSession | None:
    """Whose session the token is; None when it is over, or its person may not log in any more."""
    query = (
        select(session.c.last_seen_at, person)
        .join(person, person.c.id == session.c.person_id)
        .where(session.c.token_hash == _hash(token))
        .where(*_living(now))
        .where(person.c.disabled_at.is_(None))
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else OpenSession(read_row(row), row.last_seen_at, make_csrf(token))


def list_places(connection: Connection, now: int, person_id: str, token: str) -> list[Place]:
    """Where the person is logged in, the latest first; `token` says which of them is here."""
    mine = _hash(token)
    query = select(session).where(session.c.person_id == person_id, *_living(now))
    return [
        Place(
            created_at=row.created_at,
            last_seen_at=row.last_seen_at,
            expires_at=row.expires_at,
            address=row.address,
            agent=row.agent,
            here=bytes(row.token_hash) == mine,
        )
        for row in connection.execute(query.order_by(session.c.created_at.desc()))
    ]


def count_sessions(connection: Connection, now: int) -> dict[str, int]:
    """At how many places each person is logged in; those with none are left out."""
    query = select(session.c.person_id, func.count()).where(*_living(now))
    return {row[0]: row[1] for row in connection.execute(query.group_by(session.c.person_id))}


def record_seen(connection: Connection, now: int, token: str) -> None:
    """Remember that the session was used just now."""
    statement = update(session).where(session.c.token_hash == _hash(token))
    connection.execute(statement.values(last_seen_at=now))


def end_session(connection: Connection, token: str) -> None:
    """Log out here."""
    connection.execute(delete(session).where(session.c.token_hash == _hash(token)))


def end_sessions(connection: Connection, person_id: str) -> int:
    """Log the person out everywhere; from how many places."""
    statement = delete(session).where(session.c.person_id == person_id)
    return connection.execute(statement).rowcount


def make_csrf(token: str) -> str:
    """What every form of the session carries: made from its token, and no way back to it."""
    return hmac.new(token.encode(), b"vl2v csrf", hashlib.sha256).hexdigest()


def matches_csrf(expected: str, given: str) -> bool:
    """Whether a form came from a page of the session."""
    return hmac.compare_digest(expected.encode(), given.encode())


def _living(now: int) -> tuple[ColumnElement[bool], ...]:
    return session.c.expires_at > now, session.c.last_seen_at > now - IDLE


def _hash(token: str) -> bytes:
    return hashlib.sha256(token.encode()).digest()
