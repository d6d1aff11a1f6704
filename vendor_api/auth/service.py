"""From a bearer token to an account: checked without I/O where possible, remembered for seconds."""

import asyncio
import hashlib
import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Self

import structlog
from sqlalchemy.exc import SQLAlchemyError

from vendor_api.auth.keys import KeyParts, hash_secret, parse_key
from vendor_api.auth.repository import KeyLimits, StoredKey, find_key, record_use, revoke_key
from vendor_api.db import Database, open_database, read_clock
from vendor_api.db.clock import SECOND, format_instant
from vendor_api.ledger.commands import LedgerUnavailable
from vendor_api.spaces import Space
from vendor_api.spaces.repository import find_space

CACHE_SECONDS = 15.0
"""A key revoked by another process still works for this long at most."""
CACHE_LIMIT = 10_000
USE_SECONDS = 60.0
"""A key's last use is written this often at most."""

__all__ = ["Authenticator", "InvalidKey", "Principal"]

_log = structlog.get_logger("vendor")


class InvalidKey(Exception):
    """The bearer token is not a key of this vendor, or it was revoked, or its time is over."""


@dataclass(frozen=True, slots=True)
class Principal:
    """Who is asking."""

    account_id: str
    key_id: str
    scopes: frozenset[str]
    models: frozenset[str] | None
    """Ids of the models that the key may buy from; None: all of them."""
    limits: KeyLimits
    space: Space | None = None
    """The private space that the account is answered in; None: everybody's."""


class Authenticator:
    """Knows keys by the HMAC of their secret; never keeps a secret in memory."""

    def __init__(
        self, database: Database, pepper: bytes, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._database = database
        self._pepper = pepper
        self._clock = clock
        self._cache: OrderedDict[bytes, tuple[float, Principal]] = OrderedDict()
        self._changes = 0
        self._listeners: list[Callable[[str], None]] = []
        self._used: dict[str, float] = {}
        """Key → when its use was last written."""
        self._threads = ThreadPoolExecutor(2, thread_name_prefix="authenticator")

    @classmethod
    def open(
        cls, database_url: str, pepper: bytes, *, clock: Callable[[], float] = time.monotonic
    ) -> Self:
        """An authenticator over the vendor's database. Raises what `open_database` raises."""
        return cls(open_database(database_url, readers=2), pepper, clock=clock)

    async def authenticate(self, bearer: str) -> Principal:
        """Who the token belongs to. Raises InvalidKey, and LedgerUnavailable without a database."""
        name = hashlib.sha256(bearer.encode()).digest()
        remembered = self._cache.get(name)
        if remembered is not None and self._clock() < remembered[0]:
            principal = remembered[1]
        else:
            parts = parse_key(bearer)
            if parts is None:
                raise InvalidKey("the API key is malformed: copy the whole of it")
            changes = self._changes
            principal, seconds = await self._look_up(parts)
            if changes == self._changes:
                self._remember(name, principal, seconds)
        self._note_use(principal.key_id)
        return principal

    @property
    def pepper(self) -> bytes:
        """What keys are hashed with, for whoever issues or checks other ones."""
        return self._pepper

    async def revoke(self, key_id: str) -> bool:
        """End a key at once in this process; False when there was nothing to end."""

        def work() -> bool:
            return self._database.change(lambda c: revoke_key(c, read_clock(c), key_id))

        revoked = await asyncio.get_running_loop().run_in_executor(self._threads, work)
        self.forget(key_id)
        return revoked

    def forget(self, key_id: str) -> None:
        """Look the key up again when it is next used, here and wherever it can be told.

        For a key that was changed, or whose account was given another space.
        """
        self.drop(key_id)
        for tell in self._listeners:
            tell(key_id)

    def drop(self, key_id: str | None) -> None:
        """Look the key, or every key, up again when it is next used in this process."""
        self._changes += 1  # a look-up under way may have read the key before this
        if key_id is None:
            self._cache.clear()
            return
        for name in [n for n, (_, known) in self._cache.items() if known.key_id == key_id]:
            del self._cache[name]

    def tell_changes(self, listener: Callable[[str], None]) -> None:
        """Call `listener` with the id of every key that is changed in this process from now on."""
        self._listeners.append(listener)

    async def close(self) -> None:
        """Give the connections back."""
        await asyncio.to_thread(self._threads.shutdown)
        self._database.close()

    async def _look_up(self, parts: KeyParts) -> tuple[Principal, float]:
        loop = asyncio.get_running_loop()
        try:
            return await loop.run_in_executor(self._threads, self._check, parts)
        except SQLAlchemyError as error:
            raise LedgerUnavailable("the database did not answer") from error

    def _check(self, parts: KeyParts) -> tuple[Principal, float]:
        """Who it is, and for how many seconds that may be remembered."""
        with self._database.read() as connection:
            key, now = find_key(connection, parts.key_id), read_clock(connection)
            space = None if key is None else find_space(connection, key.account_id)
        # An unknown id takes the same road as a wrong secret.
        stored = key.secret_hmac if key is not None else bytes(32)
        right = hmac.compare_digest(stored, hash_secret(self._pepper, parts.secret))
        if key is None or not right:
            raise InvalidKey("the API key is not known here")
        if key.revoked_at is not None:
            raise InvalidKey("the API key was revoked: ask for a new one")
        left = _seconds_left(key, now)
        who = Principal(key.account_id, key.id, key.scopes, key.models, key.limits, space)
        return who, left

    def _remember(self, name: bytes, principal: Principal, seconds: float) -> None:
        self._cache[name] = (self._clock() + min(CACHE_SECONDS, seconds), principal)
        self._cache.move_to_end(name)
        while len(self._cache) > CACHE_LIMIT:
            self._cache.popitem(last=False)

    def _note_use(self, key_id: str) -> None:
        """Have the key's last use written, now and then, while the request goes on."""
        now = self._clock()
        if now - self._used.get(key_id, -USE_SECONDS) < USE_SECONDS:
            return
        if len(self._used) >= CACHE_LIMIT:
            self._used.clear()
        self._used[key_id] = now
        with suppress(RuntimeError):  # closing
            self._threads.submit(self._record_use, key_id)

    def _record_use(self, key_id: str) -> None:
        try:
            self._database.change(lambda c: record_use(c, read_clock(c), [key_id]))
        except SQLAlchemyError as error:
            _log.warning("last_use_not_written", key_id=key_id, error=repr(error))


def _seconds_left(key: StoredKey, now: int) -> float:
    if key.expires_at is None:
        return CACHE_SECONDS
    if key.expires_at <= now:
        ended = format_instant(key.expires_at)
        raise InvalidKey(f"the API key's time ended at {ended}: ask for a new one")
    return (key.expires_at - now) / SECOND
