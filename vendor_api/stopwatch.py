"""Where a request's time went, for the `server-timing` header (W3C Server Timing)."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

__all__ = ["Stopwatch"]


class Stopwatch:
    """Seconds by name, in the order in which the names first came."""

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    def add(self, name: str, seconds: float) -> None:
        """Count time that was measured elsewhere."""
        self.seconds[name] = self.seconds.get(name, 0.0) + max(0.0, seconds)

    @contextmanager
    def measure(self, name: str) -> Iterator[None]:
        """Count the time of a block, however it ends."""
        began = self._clock()
        try:
            yield
        finally:
            self.add(name, self._clock() - began)

    def header(self) -> str:
        """`auth;dur=0.12, reserve;dur=1.05`, in milliseconds."""
        return ", ".join(f"{name};dur={1000 * took:.2f}" for name, took in self.seconds.items())
