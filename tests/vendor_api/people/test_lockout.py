"""Guessing gets slower, for names that exist and names that do not, and is forgotten in a day."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendor_api.db.clock import SECOND
from vendor_api.people import lockout
from vendor_api.people.lockout import (
    ADDRESS_FREE,
    FORGET,
    LONGEST,
    NAME_FREE,
    LockedOut,
    count_attempt,
    forgive,
)

NOW = 1_790_000_000 * SECOND


def attempt(database: Any, now: int, name: str = "eva", address: str = "10.0.0.1") -> int:
    """Microseconds that the next attempt has to wait because of those before; counted if it need not."""
    try:
        with database.write() as connection:
            count_attempt(connection, now, name, address)
    except LockedOut as error:
        return error.wait_us
    return 0


def test_the_first_wrong_passwords_cost_no_time_and_the_next_ones_ever_more(database: Any) -> None:
    now, waits = NOW, []
    for _ in range(NAME_FREE + 12):
        wait = attempt(database, now)
        if wait:
            assert attempt(database, now + wait - 1) == 1, "the lock ends when it says"
            now += wait
            assert attempt(database, now) == 0
        waits.append(wait // SECOND)
    assert waits[:NAME_FREE] == [0] * NAME_FREE
    assert waits[NAME_FREE:] == [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900]


def test_a_locked_attempt_is_not_counted(database: Any) -> None:
    for _ in range(NAME_FREE):
        attempt(database, NOW)
    assert [attempt(database, NOW) for _ in range(5)] == [SECOND] * 5


def test_another_name_from_another_place_is_not_held_up(database: Any) -> None:
    for _ in range(NAME_FREE + 1):
        attempt(database, NOW)
    assert attempt(database, NOW, "bob", "10.0.0.2") == 0


def test_an_address_that_tries_many_names_is_slowed_down_too(database: Any) -> None:
    waits = [attempt(database, NOW, f"name{n}") for n in range(ADDRESS_FREE + 1)]
    assert waits == [0] * ADDRESS_FREE + [SECOND]


def test_the_right_password_forgets_the_name_but_not_what_else_the_address_did(
    database: Any,
) -> None:
    for n in range(ADDRESS_FREE - 1):
        assert attempt(database, NOW, f"name{n}") == 0
    assert attempt(database, NOW, "mallory") == 0  # locks the address, but this one was right
    with database.write() as connection:
        forgive(connection, "mallory", "10.0.0.1")
    assert attempt(database, NOW, "eva") == 0
    assert attempt(database, NOW, "eva") == SECOND


def test_a_day_later_nothing_is_left(database: Any) -> None:
    for _ in range(NAME_FREE):
        attempt(database, NOW)
    assert attempt(database, NOW + FORGET) == 0
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT failures FROM login_failure").all()
    assert [row[0] for row in rows] == [1, 1]


def test_no_name_is_kept_in_the_open(database: Any) -> None:
    attempt(database, NOW, "a password typed in the wrong field")
    with database.read() as connection:
        rows = connection.exec_driver_sql("SELECT subject FROM login_failure").all()
    assert all("password" not in row[0] for row in rows)


@given(failures=st.integers(0, 10**9), free=st.integers(1, 100))
def test_the_wait_never_shrinks_and_never_passes_the_longest(failures: int, free: int) -> None:
    now, later = (lockout._delay(n, free) for n in (failures, failures + 1))
    assert 0 <= now <= later <= LONGEST


@pytest.fixture
def vendor_database_url(sqlite_url: str, request: pytest.FixtureRequest) -> str:
    """SQLite; the upsert is run on both engines by the login's tests."""
    return sqlite_url
