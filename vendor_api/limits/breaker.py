"""Leaves a server that has failed alone for a moment, then tries it with one request."""

import time
from collections.abc import Callable

COOLDOWN_S = 1.0

__all__ = ["Breaker"]


class Breaker:
    """Closed while the server answers; open for a second after each failure."""

    def __init__(
        self, *, cooldown_s: float = COOLDOWN_S, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._cooldown_s = cooldown_s
        self._clock = clock
        self._until: float | None = None

    @property
    def is_open(self) -> bool:
        """Whether the last thing heard of the server was a failure."""
        return self._until is not None

    def permits(self) -> bool:
        """Whether to try the server now; while it is open, once a second and for one caller."""
        if self._until is None:
            return True
        now = self._clock()
        if now < self._until:
            return False
        self._until = now + self._cooldown_s
        return True

    def fail(self) -> None:
        """The server did not answer."""
        self._until = self._clock() + self._cooldown_s

    def succeed(self) -> None:
        """The server answered."""
        self._until = None
