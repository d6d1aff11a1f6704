"""Guessing is slow: attempts are counted before they are tried, by name and by address.

A name is counted whether somebody has it or not, so that the answer tells nobody which names exist.
"""

import hashlib
from dataclasses import dataclass

from sqlalchemy import Connection, case, delete, select, update

from vendor_api.db.clock import DAY, SECOND
from vendor_api.db.tables import login_failure
from vendor_api.db.upsert import insert

FORGET = DAY
"""Failures older than this count no more."""
LONGEST = 900 * SECOND
NAME_FREE = 5
"""Wrong passwords for a name before each next one has to wait, twice as long as the one before."""
ADDRESS_FREE = 30
"""The same for an address: behind a proxy everybody has the same one."""

__all__ = [
    "ADDRESS_FREE",
    "FORGET",
    "LONGEST",
    "NAME_FREE",
    "LockedOut",
    "count_attempt",
    "forgive",
]


@dataclass(frozen=True, slots=True)
class _Subject:
    id: str
    free: int


class LockedOut(Exception):
    """Too many wrong passwords; this one was not looked at."""

    def __init__(self, wait_us: int) -> None:
        super().__init__(wait_us)
        self.wait_us = wait_us
        """Microseconds until the next attempt is looked at."""


def count_attempt(connection: Connection, now: int, name: str, address: str) -> None:
    """Count an attempt as failed before it is tried, so that parallel guesses gain nothing.

    Raises LockedOut; then nothing was counted, if the transaction is rolled back.
    """
    connection.execute(delete(login_failure).where(login_failure.c.last_at <= now - FORGET))
    for subject in _subjects(name, address):
        failures = _count(connection, now, subject)
        until = now + _delay(failures, subject.free)
        statement = update(login_failure).where(login_failure.c.subject == subject.id)
        connection.execute(statement.values(locked_until=until))


def forgive(connection: Connection, name: str, address: str) -> None:
    """The attempt was right after all: forget the name's failures, and take this one off the address."""
    named, placed = _subjects(name, address)
    connection.execute(delete(login_failure).where(login_failure.c.subject == named.id))
    mine = login_failure.c.subject == placed.id
    connection.execute(delete(login_failure).where(mine, login_failure.c.failures <= 1))
    connection.execute(
        update(login_failure)
        .where(mine)
        .values(failures=login_failure.c.failures - 1, locked_until=0)
    )


def _count(connection: Connection, now: int, subject: _Subject) -> int:
    """How often the subject failed, this attempt among them. Raises LockedOut."""
    table = login_failure
    statement = insert(connection, table).values(
        subject=subject.id, failures=1, last_at=now, locked_until=0
    )
    statement = statement.on_conflict_do_update(
        index_elements=[table.c.subject],
        set_={
            "failures": case(
                (table.c.last_at <= now - FORGET, 1),
                else_=table.c.failures + 1,
            ),
            "last_at": now,
        },
        where=table.c.locked_until <= now,
    ).returning(table.c.failures)
    failures: int | None = connection.execute(statement).scalar_one_or_none()
    if failures is None:
        query = select(table.c.locked_until).where(table.c.subject == subject.id)
        raise LockedOut(int(connection.execute(query).scalar_one()) - now)
    return failures


def _delay(failures: int, free: int) -> int:
    """Microseconds to wait after so many failures."""
    if failures < free:
        return 0
    return int(min(LONGEST, SECOND << min(failures - free, 30)))


def _subjects(name: str, address: str) -> tuple[_Subject, _Subject]:
    # A password typed into the wrong field must not be kept: only a hash of the name is.
    digest = hashlib.sha256(name.encode()).hexdigest()[:32]
    return _Subject(f"name:{digest}", NAME_FREE), _Subject(f"address:{address}", ADDRESS_FREE)
