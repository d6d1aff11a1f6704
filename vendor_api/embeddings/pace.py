"""How fast a queue is really worked off, beside what its items were estimated to take."""

import math

WINDOW_S = 1.0
MEMORY_S = 6.0
"""A window's weight grows with its length beside this."""
GAP_S = 0.03
"""Requests end in bursts, a batch each: a longer silence divides two."""
SLOWEST, FASTEST = 0.1, 100.0

__all__ = ["Pace"]


class Pace:
    """Milliseconds of estimated work done in a millisecond; learned only while there was enough to do.

    It makes up for whatever estimates leave out: gaps between batches, decoding that goes on beside
    the model, several machines behind one engine.
    """

    def __init__(self) -> None:
        self.value = 1.0
        self._since: float | None = None
        self._last = 0.0
        self._done_ms = 0.0

    def note(self, work_ms: float, *, busy: bool, now: float) -> None:
        """A request of `work_ms` is done at `now` seconds; `busy`: enough was left to do after it."""
        if self._since is not None:
            self._look(self._since, now)
        if not busy:
            self._since = None
        elif self._since is None:
            # What ends now was begun before: counting starts with what ends after it.
            self._since, self._done_ms = now, 0.0
        else:
            self._done_ms += work_ms
        self._last = now

    def _look(self, since: float, now: float) -> None:
        """Close the window with the last burst if that has ended, or if there are no bursts."""
        took = self._last - since
        if took >= WINDOW_S and (now - self._last > GAP_S or took >= 2 * WINDOW_S):
            found = min(max(self._done_ms / (1000 * took), SLOWEST), FASTEST)
            self.value += (1 - math.exp(-took / MEMORY_S)) * (found - self.value)
            self._since, self._done_ms = self._last, 0.0
