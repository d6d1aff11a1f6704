"""The people who may open the dashboard, and what each role of theirs may do."""

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, get_args

from sqlalchemy import Connection, Row, func, insert, select, update

from vendor_api.db.tables import person
from vendor_api.ledger.commands import LedgerError
from vendor_api.ledger.ids import new_id

Role = Literal["viewer", "support", "finance", "admin"]
"""A viewer looks; support keeps keys and freezes; finance moves money; an admin does everything."""

ROLES: tuple[Role, ...] = get_args(Role)

EVERYBODY: frozenset[Role] = frozenset(ROLES)
MONEY: frozenset[Role] = frozenset({"finance", "admin"})
"""Who may top up, refund and adjust."""
KEYS: frozenset[Role] = frozenset({"support", "admin"})
"""Who may create and revoke keys, and freeze accounts."""
ADMINS: frozenset[Role] = frozenset({"admin"})
"""Who may change prices, limits and people."""

MAX_NAME = 100
_NAME = re.compile(r"[^\s\x00-\x20]{1,100}")

__all__ = [
    "ADMINS",
    "EVERYBODY",
    "KEYS",
    "MONEY",
    "ROLES",
    "Person",
    "Role",
    "UnknownPerson",
    "add_person",
    "count_admins",
    "find_named",
    "find_person",
    "list_people",
    "normalise_name",
    "read_role",
    "record_login",
    "set_disabled",
    "set_password",
    "set_role",
]


class UnknownPerson(LedgerError):
    """There is no such person."""


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody who may log in."""

    id: str
    name: str
    role: Role
    created_at: int
    last_login_at: int | None
    disabled_at: int | None
    has_password: bool


def normalise_name(text: str) -> str:
    """The name or e-mail address as it is stored: NFC, without capitals. Raises ValueError."""
    name = unicodedata.normalize("NFC", text.strip()).casefold()
    if not _NAME.fullmatch(name) or not name.isprintable():
        raise ValueError(
            f"a name has 1 to {MAX_NAME} printable characters and no spaces: eva, or eva@example.org"
        )
    return name


def read_role(text: str) -> Role:
    """The role of that name. Raises ValueError."""
    if text not in ROLES:
        raise ValueError(f"a role is one of {', '.join(ROLES)}")
    return text


def add_person(
    connection: Connection, now: int, name: str, role: Role, password_hash: str | None = None
) -> Person:
    """A new person; without a password nobody can log in as them. Raises ValueError for a taken name."""
    known = normalise_name(name)
    if find_named(connection, known) is not None:
        raise ValueError(f"there is a person called {known} already")
    added = Person(new_id("per"), known, role, now, None, None, password_hash is not None)
    row = {
        "id": added.id,
        "name": known,
        "role": role,
        "password_hash": password_hash,
        "created_at": now,
    }
    connection.execute(insert(person).values(**row))
    return added


def find_person(connection: Connection, person_id: str) -> Person | None:
    """The person of that id."""
    row = connection.execute(select(person).where(person.c.id == person_id)).one_or_none()
    return None if row is None else read_row(row)


def find_named(connection: Connection, name: str) -> tuple[Person, str | None] | None:
    """The person of that name, with the hash of their password."""
    row = connection.execute(select(person).where(person.c.name == name)).one_or_none()
    return None if row is None else (read_row(row), row.password_hash)


def list_people(connection: Connection) -> list[Person]:
    """Everybody, oldest first."""
    query = select(person).order_by(person.c.created_at, person.c.id)
    return [read_row(row) for row in connection.execute(query)]


def count_admins(connection: Connection) -> int:
    """How many admins can log in."""
    usable = (
        person.c.role == "admin",
        person.c.disabled_at.is_(None),
        person.c.password_hash.is_not(None),
    )
    return int(connection.execute(select(func.count()).where(*usable)).scalar_one())


def set_password(connection: Connection, person_id: str, password_hash: str | None) -> None:
    """Let the person log in with another password only; None: with none."""
    _set(connection, person_id, password_hash=password_hash)


def set_role(connection: Connection, person_id: str, role: Role) -> None:
    """Give the person another role, from the next request on."""
    _set(connection, person_id, role=role)


def set_disabled(connection: Connection, person_id: str, at: int | None) -> None:
    """Let the person in no more, or again."""
    _set(connection, person_id, disabled_at=at)


def record_login(connection: Connection, now: int, person_id: str) -> None:
    """Remember that the person logged in just now."""
    _set(connection, person_id, last_login_at=now)


def read_row(row: Row[tuple[object, ...]]) -> Person:
    """The person of a row of the table."""
    return Person(
        id=row.id,
        name=row.name,
        role=row.role,
        created_at=row.created_at,
        last_login_at=row.last_login_at,
        disabled_at=row.disabled_at,
        has_password=row.password_hash is not None,
    )


def _set(connection: Connection, person_id: str, **values: object) -> None:
    connection.execute(update(person).where(person.c.id == person_id).values(**values))
