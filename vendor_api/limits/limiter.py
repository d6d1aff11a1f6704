"""The limits of one request: counted at the door, and again once its items are known."""

from collections.abc import Callable, Sequence
from typing import Protocol

from prometheus_client import Counter

from shared.errors import ErrorCode
from vendor_api.auth.repository import KeyLimits
from vendor_api.errors import VendorError
from vendor_api.limits.headers import write_headers
from vendor_api.limits.policies import (
    WINDOW_US,
    Demand,
    Lease,
    Limits,
    Outcome,
    Policy,
    RedisState,
    Standing,
)
from vendor_api.limits.tally import Tally

PLACE_WAIT_US = 1_000_000
"""What to wait for a place among the requests under way, as nobody knows when one ends."""

_TOO_LARGE: dict[Policy, str] = {
    "items": "The request has {cost} items and this key may send {limit} a minute: "
    "send at most {limit} at a time.",
    "bytes": "The request has {cost} bytes and this key may send {limit} a minute: "
    "send fewer or smaller items at a time.",
}

__all__ = ["Admission", "Limiter", "Store"]


class Store(Protocol):
    """Where limits are counted."""

    @property
    def redis(self) -> RedisState:
        """Whether there is a Redis, and it answers."""
        ...

    async def take(self, key: str, demands: Sequence[Demand], lease: Lease | None) -> Outcome:
        """Take all that is asked, or nothing."""
        ...

    def give_back(self, key: str, lease_id: str) -> None:
        """End a lease, at once or soon."""
        ...

    async def close(self) -> None:
        """Give everything back."""
        ...


class Limiter:
    """Holds keys to their limits; no money depends on it."""

    def __init__(
        self, store: Store, defaults: Limits, *, lease_seconds: int, decisions: Counter
    ) -> None:
        """`decisions` counts by policy and decision."""
        self._store = store
        self._defaults = defaults
        self._lease_seconds = lease_seconds
        self._decisions = decisions
        self.tally = Tally()
        """How often each key was too fast, for whoever looks."""

    def receive(
        self, key_id: str, own: KeyLimits, request_id: str, count_bytes: Callable[[], int]
    ) -> "Admission":
        """A request of a key, not yet counted; `count_bytes` tells how long its body really is."""
        limits = self._defaults.overridden(own)
        lease = Lease(request_id, limits.concurrency, self._lease_seconds)
        return Admission(
            self._store, key_id, limits, lease, count_bytes, self._decisions, self.tally
        )

    @property
    def redis(self) -> RedisState:
        """Whether limits are counted together with other processes: a Redis is `up`."""
        return self._store.redis

    async def close(self) -> None:
        """Give the store's connections back."""
        await self._store.close()


class Admission:
    """One request on its way past the limits: `enter`, `weigh` when its items are known, `leave`."""

    def __init__(
        self,
        store: Store,
        key_id: str,
        limits: Limits,
        lease: Lease,
        count_bytes: Callable[[], int],
        decisions: Counter,
        tally: Tally,
    ) -> None:
        self._store = store
        self._key_id = key_id
        self._limits = limits
        self._lease = lease
        self._count_bytes = count_bytes
        self._decisions = decisions
        self._tally = tally
        self._inside = False
        self._known: dict[Policy, Standing] = {}
        self._violated: list[Standing] = []

    async def enter(self) -> None:
        """Count the request and take a place among those under way. Raises VendorError (429)."""
        self._tally.ask(self._key_id)
        demands = _demand(requests=(1, self._limits.requests))
        lease = self._lease if self._limits.concurrency else None
        self._inside = lease is not None
        await self._take(demands, lease)

    async def weigh(self, items: int) -> None:
        """Count the items and the body's bytes; the request stays counted when they are refused.

        Raises VendorError: 429, or 413 for more than the key may ever send at once.
        """
        demands = _demand(
            items=(items, self._limits.items), bytes=(self._count_bytes(), self._limits.bytes)
        )
        for demand in demands:
            if demand.cost > demand.limit:
                self._decisions.labels(demand.policy, "refused").inc()
                raise _too_large(demand)
        await self._take(demands, None)

    def leave(self) -> None:
        """Free the request's place; returns at once, may be called always and more than once."""
        if self._inside:
            self._inside = False
            self._store.give_back(self._key_id, self._lease.id)

    def headers(self) -> dict[str, str]:
        """What the answer says about the limits that were looked at."""
        return write_headers([*self._known.values()], self._violated)

    async def _take(self, demands: Sequence[Demand], lease: Lease | None) -> None:
        if not demands and lease is None:
            return
        outcome = await self._store.take(self._key_id, demands, lease)
        standings = [_stand(demand, outcome, index) for index, demand in enumerate(demands)]
        if lease is not None:
            standings.append(_stand_among(lease, outcome))
        self._known |= {standing.policy: standing for standing in standings}
        self._violated = [standing for standing in standings if standing.wait_us]
        decision = "admitted" if outcome.admitted else "refused"
        for standing in standings if outcome.admitted else self._violated:
            self._decisions.labels(standing.policy, decision).inc()
        if not outcome.admitted:
            self._tally.refuse(self._key_id)
            raise _refuse(self._violated)


def _demand(**asked: tuple[int, int]) -> list[Demand]:
    """A demand on each policy that has a limit."""
    return [
        Demand(policy, cost, limit)  # type: ignore[arg-type]
        for policy, (cost, limit) in asked.items()
        if limit
    ]


def _stand(demand: Demand, outcome: Outcome, index: int) -> Standing:
    bucket = outcome.buckets[index]
    return Standing(
        demand.policy,
        demand.limit,
        remaining=(WINDOW_US - bucket.debt_us) * demand.limit // WINDOW_US,
        reset_us=bucket.debt_us,
        wait_us=bucket.wait_us,
        scope=outcome.scope,
    )


def _stand_among(lease: Lease, outcome: Outcome) -> Standing:
    full = not outcome.admitted and outcome.active >= lease.limit
    return Standing(
        "concurrency",
        lease.limit,
        remaining=max(0, lease.limit - outcome.active),
        reset_us=0,
        wait_us=PLACE_WAIT_US if full else 0,
        scope=outcome.scope,
    )


def _refuse(violated: Sequence[Standing]) -> VendorError:
    wait_us = max(standing.wait_us for standing in violated)
    slowest = max(violated, key=lambda standing: standing.wait_us)
    if slowest.policy == "concurrency":
        sentence = (
            f"This key may have {slowest.limit} requests under way at the same time: "
            "send this one again when another has ended."
        )
    else:
        sentence = (
            f"This key may send {slowest.limit} {slowest.policy} a minute and has used them: "
            f"send the same request again in {-(-wait_us // 1_000_000)} s."
        )
    return VendorError(
        ErrorCode.RATE_LIMITED,
        f"{sentence} Nothing was charged.",
        retry_after_s=wait_us / 1_000_000,
        violated_policies=[standing.policy for standing in violated],
    )


def _too_large(demand: Demand) -> VendorError:
    return VendorError(
        ErrorCode.REQUEST_TOO_LARGE,
        _TOO_LARGE[demand.policy].format(cost=demand.cost, limit=demand.limit),
        violated_policies=[demand.policy],
    )
