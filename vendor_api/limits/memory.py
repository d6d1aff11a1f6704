"""Limits counted in this process alone: without Redis, and while Redis does not answer."""

import time
from collections.abc import Callable, Sequence
from threading import Lock

from vendor_api.limits.policies import WINDOW_US, Bucket, Demand, Lease, Outcome, RedisState

PRUNE_AT = 4096
"""Entries above which those that count nothing any more are looked for and dropped."""

__all__ = ["MemoryStore"]


class MemoryStore:
    """The algorithm of `gcra.lua` over dictionaries; safe to use from several threads."""

    def __init__(self, clock: Callable[[], int] = lambda: time.monotonic_ns() // 1000) -> None:
        """`clock` tells microseconds."""
        self._clock = clock
        self._lock = Lock()
        self._arrivals: dict[tuple[str, str], int] = {}
        """(key, policy) → the instant at which its debt is gone: GCRA's theoretical arrival time."""
        self._leases: dict[str, dict[str, int]] = {}
        """Key → lease → when it frees itself."""
        self._prune_at = PRUNE_AT

    @property
    def redis(self) -> RedisState:
        """There is none."""
        return "off"

    async def take(self, key: str, demands: Sequence[Demand], lease: Lease | None) -> Outcome:
        """Take all that is asked, or nothing."""
        with self._lock:
            return self._take(self._clock(), key, demands, lease)

    def give_back(self, key: str, lease_id: str) -> None:
        """End a lease; one that is not known is none of ours."""
        with self._lock:
            held = self._leases.get(key, {})
            held.pop(lease_id, None)
            if not held:
                self._leases.pop(key, None)

    async def close(self) -> None:
        """Nothing to give back."""

    def _take(self, now: int, key: str, demands: Sequence[Demand], lease: Lease | None) -> Outcome:
        debts = [self._find_debt(now, (key, demand.policy)) for demand in demands]
        waits = [
            max(0, debt + demand.interval_us - WINDOW_US)
            for debt, demand in zip(debts, demands, strict=True)
        ]
        held = {} if lease is None else self._find_leases(now, key, lease)
        admitted = not any(waits) and (lease is None or len(held) < lease.limit)
        if admitted:
            debts = [debt + d.interval_us for debt, d in zip(debts, demands, strict=True)]
            for demand, debt in zip(demands, debts, strict=True):
                self._arrivals[key, demand.policy] = now + debt
            if lease is not None:
                held[lease.id] = now + lease.seconds * 1_000_000
                self._leases[key] = held
            self._prune(now)
        buckets = tuple(Bucket(debt, wait) for debt, wait in zip(debts, waits, strict=True))
        return Outcome(admitted, buckets, len(held), "process")

    def _find_debt(self, now: int, name: tuple[str, str]) -> int:
        arrival = self._arrivals.get(name, 0)
        if arrival > now + WINDOW_US:  # the clock was set back: no debt is longer than a minute
            arrival = self._arrivals[name] = now + WINDOW_US
        return max(arrival - now, 0)

    def _find_leases(self, now: int, key: str, lease: Lease) -> dict[str, int]:
        latest = now + lease.seconds * 1_000_000
        known = self._leases.get(key, {})
        held = {name: min(until, latest) for name, until in known.items() if until > now}
        if known:
            self._leases[key] = held
        return held

    def _prune(self, now: int) -> None:
        if len(self._arrivals) + len(self._leases) < self._prune_at:
            return
        self._arrivals = {name: at for name, at in self._arrivals.items() if at > now}
        self._leases = {
            key: held
            for key, held in self._leases.items()
            if any(until > now for until in held.values())
        }
        self._prune_at = max(PRUNE_AT, 2 * (len(self._arrivals) + len(self._leases)))
