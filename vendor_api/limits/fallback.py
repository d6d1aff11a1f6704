"""Redis while it answers, this process alone while it does not: no request ever waits for Redis."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress

from vendor_api.limits.breaker import Breaker
from vendor_api.limits.memory import MemoryStore
from vendor_api.limits.policies import Demand, Lease, Outcome, RedisState
from vendor_api.limits.remote import FAILURES, RemoteStore

OWED_LIMIT = 10_000

__all__ = ["FallbackStore"]


class FallbackStore:
    """Limits that a dying Redis only loosens."""

    def __init__(
        self,
        remote: RemoteStore,
        local: MemoryStore,
        *,
        breaker: Breaker,
        observe: Callable[[Exception | None], None],
    ) -> None:
        """`observe` hears of every change: the error when Redis is lost, None when it is back."""
        self._remote = remote
        self._local = local
        self._breaker = breaker
        self._observe = observe
        self._tried: set[str] = set()
        """Leases that Redis was asked for."""
        self._owed: dict[str, None] = {}
        """Leases to end in Redis, oldest first."""
        self._paying: asyncio.Task[None] | None = None
        self._probing: asyncio.Task[None] | None = None

    @property
    def redis(self) -> RedisState:
        """Whether it answered when it was last asked."""
        return "down" if self._breaker.is_open else "up"

    async def connect(self) -> None:
        """Find out whether Redis is there."""
        try:
            await self._remote.ping()
        except FAILURES as error:
            self._fail(error)
        else:
            self._succeed()
            self._pay()

    async def take(self, key: str, demands: Sequence[Demand], lease: Lease | None) -> Outcome:
        """Take all that is asked, or nothing, wherever it can be counted now."""
        if self._breaker.is_open:
            self._probe()
            return await self._local.take(key, demands, lease)
        if lease is not None:
            self._tried.add(lease.id)
        try:
            outcome = await self._remote.take(key, demands, lease)
        except FAILURES as error:
            self._fail(error)
            return await self._local.take(key, demands, lease)
        self._pay()
        return outcome

    def give_back(self, key: str, lease_id: str) -> None:
        """End a lease wherever it was taken, or may have been; returns at once."""
        self._local.give_back(key, lease_id)
        if lease_id not in self._tried:
            return
        self._tried.discard(lease_id)
        self._owed[lease_id] = None
        while len(self._owed) > OWED_LIMIT:  # they free themselves in the end
            oldest = next(iter(self._owed))
            del self._owed[oldest]
            self._remote.forget(oldest)
        if not self._breaker.is_open:
            self._pay()

    async def close(self) -> None:
        """End what is owed, then close every connection."""
        for task in (self._probing, self._paying):
            if task is not None:
                await task
        with suppress(*FAILURES):
            await self._remote.close()

    def _probe(self) -> None:
        """Look for Redis again, beside the requests: none of them waits for it."""
        if (self._probing is None or self._probing.done()) and self._breaker.permits():
            self._probing = asyncio.create_task(self.connect())

    def _pay(self) -> None:
        if self._owed and (self._paying is None or self._paying.done()):
            self._paying = asyncio.create_task(self._pay_all())

    async def _pay_all(self) -> None:
        while self._owed:
            leases = list(self._owed)
            try:
                await self._remote.drop(leases)
            except FAILURES as error:
                self._fail(error)
                return
            for lease in leases:
                self._owed.pop(lease, None)

    def _fail(self, error: Exception) -> None:
        changed = not self._breaker.is_open
        self._breaker.fail()
        if changed:
            self._observe(error)

    def _succeed(self) -> None:
        changed = self._breaker.is_open
        self._breaker.succeed()
        if changed:
            self._observe(None)
