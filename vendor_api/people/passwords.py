"""Passwords: long enough, hashed with argon2id in threads of their own, compared in constant time."""

import asyncio
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

MIN_LENGTH = 12
MAX_LENGTH = 1024
THREADS = 2
"""Hashes computed at the same time: each takes `Cost.memory_kib`."""
MAX_WAITING = 32
"""Hashes that may wait; beyond it somebody is turned away at once."""

T = TypeVar("T")

__all__ = ["MIN_LENGTH", "Cost", "Passwords", "TooManyHashes", "check_password", "hash_password"]


@dataclass(frozen=True, slots=True)
class Cost:
    """What one hash takes; RFC 9106's second recommendation unless said."""

    passes: int = 3
    memory_kib: int = 65_536
    lanes: int = 4

    def hasher(self) -> PasswordHasher:
        """argon2id at this cost."""
        return PasswordHasher(self.passes, self.memory_kib, self.lanes)


class TooManyHashes(Exception):
    """So many passwords are being tried that this one was not."""


def check_password(text: str) -> str:
    """A new password as it is hashed, NFC. Raises ValueError for one that is too short or too long."""
    password = unicodedata.normalize("NFC", text)
    if len(password) < MIN_LENGTH:
        raise ValueError(f"a password has at least {MIN_LENGTH} characters: a few words are good")
    if len(password) > MAX_LENGTH:
        raise ValueError(f"a password has at most {MAX_LENGTH} characters")
    return password


def hash_password(text: str, cost: Cost | None = None) -> str:
    """The argon2id hash to store. Raises ValueError as `check_password` does."""
    return (cost or Cost()).hasher().hash(check_password(text))


class Passwords:
    """Hashes and compares off the event loop, a few at a time."""

    def __init__(self, cost: Cost | None = None) -> None:
        self._hasher = (cost or Cost()).hasher()
        self._threads = ThreadPoolExecutor(THREADS, thread_name_prefix="passwords")
        self._waiting = 0

    async def hash(self, text: str) -> str:
        """The hash to store. Raises ValueError as `check_password` does, and TooManyHashes."""
        password = check_password(text)
        return await self._run(lambda: self._hasher.hash(password))

    async def matches(self, stored: str | None, text: str) -> bool:
        """Whether the password is the stored one; without one it takes as long to say no.

        Raises TooManyHashes.
        """
        password = unicodedata.normalize("NFC", text)[:MAX_LENGTH]
        right = await self._run(
            lambda: self._verify(self._decoy if stored is None else stored, password)
        )
        return right and stored is not None

    async def renew(self, text: str) -> str:
        """The hash at the present cost of a password that was right. Raises TooManyHashes."""
        password = unicodedata.normalize("NFC", text)
        return await self._run(lambda: self._hasher.hash(password))

    def is_outdated(self, stored: str) -> bool:
        """Whether the hash was made at another cost than new ones are."""
        return self._hasher.check_needs_rehash(stored)

    async def close(self) -> None:
        """Let the threads end."""
        await asyncio.to_thread(self._threads.shutdown)

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= MAX_WAITING:
            raise TooManyHashes
        self._waiting += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._threads, work)
        finally:
            self._waiting -= 1

    def _verify(self, stored: str, password: str) -> bool:
        try:
            return self._hasher.verify(stored, password)
        except (VerificationError, InvalidHashError):
            return False

    @cached_property
    def _decoy(self) -> str:
        return self._hasher.hash("nobody's password")
