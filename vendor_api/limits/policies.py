"""What a key may do, what a request asks of it, and how far the key has got: plain values, no I/O.

Every rate is a token bucket kept as one instant (GCRA): a key may use its minute's amount at once,
and gets it back evenly over a minute.
"""

from dataclasses import dataclass
from typing import Literal

from vendor_api.auth.repository import KeyLimits

WINDOW_S = 60
WINDOW_US = WINDOW_S * 1_000_000
"""The debt of a key that has used up its minute, in microseconds."""

Policy = Literal["requests", "items", "bytes", "concurrency"]
Scope = Literal["shared", "process"]
"""Whether all processes count together, or this one alone."""
RedisState = Literal["off", "up", "down"]
"""Not configured; answering; configured and silent, so that each process counts alone."""

__all__ = [
    "WINDOW_S",
    "WINDOW_US",
    "Bucket",
    "Demand",
    "Lease",
    "Limits",
    "Outcome",
    "Policy",
    "RedisState",
    "Scope",
    "Standing",
]


@dataclass(frozen=True, slots=True)
class Limits:
    """Requests, items and body bytes a minute, and requests at the same time; 0 means no limit."""

    requests: int
    items: int
    bytes: int
    concurrency: int

    def overridden(self, own: KeyLimits) -> "Limits":
        """A key's own limits where some were agreed, these elsewhere."""
        return Limits(
            requests=_first(own.requests_per_minute, self.requests),
            items=_first(own.items_per_minute, self.items),
            bytes=_first(own.bytes_per_minute, self.bytes),
            concurrency=_first(own.concurrency, self.concurrency),
        )


@dataclass(frozen=True, slots=True)
class Demand:
    """So many units of one policy, of which `limit` (at least 1) come back in a minute."""

    policy: Policy
    cost: int
    limit: int

    @property
    def interval_us(self) -> int:
        """What the demand adds to the key's debt, in whole microseconds."""
        # Rounded down, so that a minute's amount taken one by one always fits.
        return max(1, self.cost * WINDOW_US // self.limit)


@dataclass(frozen=True, slots=True)
class Lease:
    """One of `limit` places among the requests under way; it frees itself after `seconds`."""

    id: str
    limit: int
    seconds: int


@dataclass(frozen=True, slots=True)
class Bucket:
    """One rate after a decision."""

    debt_us: int
    """Until the whole minute's amount is there again."""
    wait_us: int
    """Until the demand would have fitted; 0 when it did."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """Everything that was asked, taken at once, or nothing of it."""

    admitted: bool
    buckets: tuple[Bucket, ...]
    """In the demands' order."""
    active: int
    """Requests of the key under way, this one included when it was admitted."""
    scope: Scope


@dataclass(frozen=True, slots=True)
class Standing:
    """How far a key has got in one policy, as headers tell it."""

    policy: Policy
    limit: int
    remaining: int
    reset_us: int
    """Until nothing is used any more; 0 for concurrency, where nobody knows."""
    wait_us: int
    """Until the refused demand would fit; 0 when it was not this policy that refused it."""
    scope: Scope


def _first(own: int | None, default: int) -> int:
    return default if own is None else own
