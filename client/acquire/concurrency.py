"""How many requests are in flight at once: one more while it helps, many fewer when it hurts.

Additive increase, multiplicative decrease, as TCP does it. What the vendor refuses for speed (429, 503,
anything with Retry-After) and what takes much longer than it once did are the same news: too many.
"""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median
from typing import Literal

from client.api import APIStatusError, APITimeoutError, Retry
from shared.headers import RETRY_AFTER, RETRY_AFTER_MS

Reason = Literal["start", "answered", "slow", "refused"]

IN_FLIGHT = 16
"""Requests at once at most, unless `--in-flight` says otherwise."""
START = 2
"""One is worked on while the other travels; latency alone is no reason to go below."""
SLOW = 2.0
"""Times the smallest latency seen that counts as a queue of our own making."""
BACK_OFF: dict[Reason, float] = {"slow": 0.7, "refused": 0.5}
"""What is left of the limit. A queue of our own is worked off by less; half would leave the vendor idle."""
TRACED = 1000
"""Changes that the trace holds; the oldest go first."""

__all__ = ["IN_FLIGHT", "Aimd", "Heard", "Reason", "Retries", "Step", "is_refusal"]


@dataclass(frozen=True, slots=True)
class Step:
    """A change of the limit."""

    at: float
    """Seconds of the caller's clock."""
    limit: int
    why: Reason


@dataclass(slots=True)
class Aimd:
    """The number of requests that may be under way. Told of every answer; has no clock of its own.

    A window is as many answers as may be in flight. Each that was fast enough adds one to the limit; a
    slow one takes a third away, and a refusal half, once for all requests under way at that time.
    """

    ceiling: int = IN_FLIGHT
    limit: int = START
    peak: int = field(init=False)
    trace: deque[Step] = field(init=False)
    _smallest: dict[str, float] = field(init=False, default_factory=dict)
    """Kind of request → the smallest median latency of a window."""
    _window: list[float] = field(init=False, default_factory=list)
    _kind: str = field(init=False, default="")
    _since: float = field(init=False, default=float("-inf"))
    """When the limit last fell: what began before says nothing about the new one."""

    def __post_init__(self) -> None:
        if self.ceiling < 1:
            raise ValueError(f"at least one request is in flight, not {self.ceiling}")
        self.limit = self.peak = min(self.limit, self.ceiling)
        self.trace = deque(maxlen=TRACED)

    def answered(self, kind: str, *, began: float, now: float) -> None:
        """Take an answer into account; only requests of one kind are compared with each other."""
        self._remember_start(began)
        if began < self._since:
            return
        if kind != self._kind:
            self._kind, self._window = kind, []
        self._window.append(now - began)
        if len(self._window) >= self.limit:
            self._close_window(now)

    def refused(self, *, began: float, now: float) -> None:
        """Take a refusal for speed into account."""
        self._remember_start(began)
        if began >= self._since:
            self._fall(now, "refused")

    def _close_window(self, now: float) -> None:
        latency, self._window = median(self._window), []
        smallest = self._smallest.setdefault(self._kind, latency)
        if latency <= SLOW * smallest:
            self._smallest[self._kind] = min(smallest, latency)
            if self.limit < self.ceiling:
                self._change(now, self.limit + 1, "answered")
        elif self.limit <= START:
            # So few make no queue: the vendor has become slower.
            self._smallest[self._kind] = latency
        else:
            self._fall(now, "slow")

    def _fall(self, now: float, why: Reason) -> None:
        self._since, self._window = now, []
        least = START if why == "slow" else 1
        if self.limit > least:
            self._change(now, max(least, int(self.limit * BACK_OFF[why])), why)

    def _change(self, now: float, limit: int, why: Reason) -> None:
        self.limit, self.peak = limit, max(self.peak, limit)
        self.trace.append(Step(now, limit, why))

    def _remember_start(self, now: float) -> None:
        if not self.trace:
            self.trace.append(Step(now, self.limit, "start"))


@dataclass(frozen=True, slots=True)
class Heard:
    """A try that failed and is made again, in seconds of one clock."""

    refused: bool
    """For speed, by the vendor."""
    began: float
    ended: float
    again: float


@dataclass(slots=True)
class Retries:
    """What is tried again: told from any thread, taken by one."""

    clock: Callable[[], float] = time.monotonic
    count: int = 0
    """Of those taken."""
    _heard: deque[Heard] = field(init=False, default_factory=deque)

    def hear(self, retry: Retry) -> None:
        """Note a failed try; what `VendorClient(on_retry=...)` takes."""
        now = self.clock()
        refused = is_refusal(retry.error)
        self._heard.append(Heard(refused, now - retry.took, now, now + retry.delay))

    def take(self) -> list[Heard]:
        """What was heard since the last time."""
        taken = [self._heard.popleft() for _ in range(len(self._heard))]
        self.count += len(taken)
        return taken


def is_refusal(error: Exception) -> bool:
    """Whether a vendor that can take no more says so by it."""
    if isinstance(error, APIStatusError):
        asked = RETRY_AFTER in error.headers or RETRY_AFTER_MS in error.headers
        return error.status_code in (429, 503) or (error.status_code >= 500 and asked)
    return isinstance(error, APITimeoutError)
