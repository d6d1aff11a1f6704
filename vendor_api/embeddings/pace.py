"""How fast a queue is really worked off, beside what the engine says of its items."""

WINDOW_S = 1.0
MEMORY_S = 6.0
"""What was seen in so many seconds tells how fast it goes now."""
BEST_S = 180.0
"""In this time a best pace that was not reached again loses most of its lead."""
GAP_S = 0.03
"""Requests end in bursts, a batch each: a longer silence divides two."""
SLOWEST, FASTEST = 0.1, 100.0
"""Beside what the engine says."""

__all__ = ["Pace"]


class Pace:
    """Items done in a millisecond; learned only while there was enough to do.

    Counted, not estimated: gaps between batches, decoding that goes on beside the model, several
    machines behind one engine, and a crowd of callers that keeps the processors from the model are all
    in it. Until something has been counted it is what the engine says.
    """

    def __init__(self) -> None:
        self._value = 0.0
        self._known_s = 0.0
        self._best = 0.0
        self._since: float | None = None
        self._last = 0.0
        self._done = 0.0

    def read(self, item_ms: float) -> float:
        """As it is now; `item_ms` is what the engine says of an item."""
        if not self._known_s:
            return 1 / item_ms
        return min(max(self._value, SLOWEST / item_ms), FASTEST / item_ms)

    def read_best(self, item_ms: float) -> float:
        """As it was at its best lately: how fast it goes again when what slows it now is over."""
        return max(self.read(item_ms), self._best)

    def note(self, items: float, *, busy: bool, now: float) -> None:
        """A request of `items` is done at `now` seconds; `busy`: enough was left to do after it."""
        if self._since is not None:
            self._look(self._since, now)
        if not busy:
            self._since = None
        elif self._since is None:
            # What ends now was begun before: counting starts with what ends after it.
            self._since, self._done = now, 0.0
        else:
            self._done += items
        self._last = now

    def _look(self, since: float, now: float) -> None:
        """Close the window with the last burst if that has ended, or if there are no bursts."""
        took = self._last - since
        if took >= WINDOW_S and (now - self._last > GAP_S or took >= 2 * WINDOW_S):
            self._learn(self._done / (1000 * took), took)
            self._since, self._done = self._last, 0.0

    def _learn(self, found: float, took: float) -> None:
        # A mean of all that was seen, until that is as much as is remembered.
        self._value += took / (self._known_s + took) * (found - self._value)
        self._known_s = min(self._known_s + took, MEMORY_S)
        if (
            self._known_s == MEMORY_S
        ):  # before that, a batch more or less in a window is all too much
            fading = took / BEST_S * (self._best - self._value)
            self._best = max(self._value, self._best - fading)
