"""What this process did in the last quarter of an hour, second by second, for whoever looks at it now."""

import math
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Lock

KEPT_S = 900
"""Seconds that are remembered."""
WINDOW_S = 60
"""Seconds that a tile sums over."""
GROWTH = 1.05
"""Durations are counted in steps this much apart: a percentile is off by 2.5 % at most."""

_FASTEST_MS = 0.1

__all__ = ["GROWTH", "KEPT_S", "WINDOW_S", "Pulse", "Second", "Window", "is_sale"]


@dataclass(slots=True)
class Second:
    """What happened within one second; durations as counts by step."""

    at: int
    """Seconds since 1970."""
    answers: int = 0
    refusals: int = 0
    """Answers 400 to 499: the caller's own."""
    failures: int = 0
    """Answers from 500 on: the service's own."""
    items: int = 0
    batches: int = 0
    batch_items: int = 0
    batch_room: int = 0
    """Items that the batches could have held."""
    steps: Counter[int] = field(default_factory=Counter)

    def add(self, other: "Second") -> None:
        """Count the other's too."""
        self.answers += other.answers
        self.refusals += other.refusals
        self.failures += other.failures
        self.items += other.items
        self.batches += other.batches
        self.batch_items += other.batch_items
        self.batch_room += other.batch_room
        self.steps.update(other.steps)

    def percentile_ms(self, share: float) -> float | None:
        """The duration that this share of the answers kept below; None without an answer."""
        rank, seen = math.ceil(share * self.steps.total()), 0
        for step in sorted(self.steps):
            seen += self.steps[step]
            if seen >= rank:
                return float(_FASTEST_MS * GROWTH ** (step + 0.5))
        return None


@dataclass(frozen=True, slots=True)
class Window:
    """The last seconds together."""

    seconds: int
    """How many were watched: fewer than asked for just after the start."""
    sums: Second
    in_flight: int


class Pulse:
    """Counts customers' requests and the engine's batches; any thread may tell it of one."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        """`clock` tells seconds since 1970."""
        self._clock = clock
        self._lock = Lock()
        self._ring: list[Second | None] = [None] * KEPT_S
        self.began_at = int(clock())
        self.in_flight = 0

    def begin(self) -> None:
        """A request came in."""
        with self._lock:
            self.in_flight += 1

    def end(self, status: int, seconds: float) -> None:
        """Its answer is out, or its connection gone (status 0)."""
        with self._lock:
            self.in_flight -= 1
            if status:
                now = self._now()
                now.answers += 1
                now.refusals += 400 <= status < 500
                now.failures += status >= 500
                now.steps[_step(seconds)] += 1

    def note_items(self, items: int) -> None:
        """An answer delivered so many vectors, paid for or free."""
        with self._lock:
            self._now().items += items

    def note_batch(self, items: int, room: int) -> None:
        """The engine computed one batch, which could have held `room` items."""
        with self._lock:
            now = self._now()
            now.batches += 1
            now.batch_items += items
            now.batch_room += room

    def window(self, seconds: int = WINDOW_S) -> Window:
        """The last whole seconds, summed; the present one is not over and so not among them."""
        with self._lock:
            present = int(self._clock())
            sums = Second(present)
            for at in range(present - seconds, present):
                found = self._find(at)
                if found is not None:
                    sums.add(found)
            watched = max(1, min(seconds, present - self.began_at))
            return Window(watched, sums, self.in_flight)

    def history(self, step: int) -> Iterator[Second]:
        """What is remembered in sums of `step` seconds, the oldest first, empty ones too."""
        with self._lock:
            present = int(self._clock())
            last = present - present % step
            for begin in range(last - KEPT_S + step, last, step):
                sums = Second(begin)
                for at in range(begin, begin + step):
                    found = self._find(at)
                    if found is not None:
                        sums.add(found)
                yield sums

    def _now(self) -> Second:
        at = int(self._clock())
        found = self._find(at)
        if found is None:
            found = self._ring[at % KEPT_S] = Second(at)
        return found

    def _find(self, at: int) -> Second | None:
        found = self._ring[at % KEPT_S]
        return found if found is not None and found.at == at else None


def is_sale(path: str) -> bool:
    """Whether a request is a customer's: operators' and probes do not count."""
    return path.startswith("/v1/") and not path.startswith("/v1/admin/")


def _step(seconds: float) -> int:
    return max(0, int(math.log(max(seconds * 1000, _FASTEST_MS) / _FASTEST_MS, GROWTH)))
