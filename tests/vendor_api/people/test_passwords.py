"""Passwords: how long, how hashed, and never on the event loop."""

import asyncio
import threading
import unicodedata
from collections.abc import AsyncIterator

import pytest

from vendor_api.people.passwords import (
    MAX_LENGTH,
    MAX_WAITING,
    MIN_LENGTH,
    Cost,
    Passwords,
    TooManyHashes,
    check_password,
    hash_password,
)

CHEAP = Cost(passes=1, memory_kib=8, lanes=1)
WORDS = "correct horse battery"


@pytest.fixture
async def passwords() -> AsyncIterator[Passwords]:
    opened = Passwords(CHEAP)
    yield opened
    await opened.close()


@pytest.mark.parametrize("text", ["", "a" * (MIN_LENGTH - 1), "a" * (MAX_LENGTH + 1)])
def test_only_the_length_is_asked_for(text: str) -> None:
    with pytest.raises(ValueError, match="characters"):
        check_password(text)
    assert check_password("a" * MIN_LENGTH) == "a" * MIN_LENGTH


async def test_the_hash_is_argon2id_and_another_one_each_time(passwords: Passwords) -> None:
    first, second = await passwords.hash(WORDS), await passwords.hash(WORDS)
    assert first.startswith("$argon2id$")
    assert first != second
    assert await passwords.matches(first, WORDS)
    assert not await passwords.matches(first, WORDS + "x")


async def test_the_same_letters_typed_on_another_system_are_the_same(passwords: Passwords) -> None:
    words = "Zürich, Genève, Neuchâtel"
    stored = await passwords.hash(unicodedata.normalize("NFD", words))
    assert await passwords.matches(stored, words)


@pytest.mark.parametrize("stored", [None, "", "not a hash", "$argon2id$v=19$m=8,t=1,p=1$AA$AA"])
async def test_nobodys_password_is_never_right(passwords: Passwords, stored: str | None) -> None:
    assert not await passwords.matches(stored, WORDS)
    assert not await passwords.matches(stored, "nobody's password")


async def test_a_hash_of_another_cost_is_known_for_one(passwords: Passwords) -> None:
    assert not passwords.is_outdated(await passwords.hash(WORDS))
    assert passwords.is_outdated(hash_password(WORDS, Cost(passes=2, memory_kib=8, lanes=1)))


async def test_it_runs_in_threads_and_only_so_many_wait(passwords: Passwords) -> None:
    gate, names = threading.Event(), set[str]()

    def work() -> None:
        names.add(threading.current_thread().name)
        gate.wait(30)

    waiting = [asyncio.ensure_future(passwords._run(work)) for _ in range(MAX_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(TooManyHashes):
        await passwords.matches(None, WORDS)
    gate.set()
    await asyncio.gather(*waiting)
    assert all(name.startswith("passwords") for name in names)


def test_the_default_cost_is_the_rfcs() -> None:
    assert Cost() == Cost(passes=3, memory_kib=64 * 1024, lanes=4)
