"""How often each key was too fast: counted by this process, forgotten when it ends."""

from collections import OrderedDict
from dataclasses import dataclass

KEYS = 10_000
"""Remembered at most; the one that asked longest ago is forgotten first."""

__all__ = ["KEYS", "Counts", "Tally"]


@dataclass(slots=True)
class Counts:
    """Requests of one key."""

    asked: int = 0
    refused: int = 0
    """For being too many, or having too much in them, for a minute (429)."""

    @property
    def percent(self) -> int:
        """Whole percent of the requests that were refused, rounded up: none only when none was."""
        return -(-self.refused * 100 // self.asked) if self.asked else 0


class Tally:
    """The counts of the keys that asked latest."""

    def __init__(self, keys: int = KEYS) -> None:
        self._keys = keys
        self._counts: OrderedDict[str, Counts] = OrderedDict()

    def ask(self, key_id: str) -> None:
        """Count a request."""
        self._find(key_id).asked += 1

    def refuse(self, key_id: str) -> None:
        """Count that one was refused."""
        self._find(key_id).refused += 1

    def read(self, key_id: str) -> Counts:
        """The key's counts; zeros for one that never asked, or too long ago."""
        known = self._counts.get(key_id, Counts())
        return Counts(known.asked, known.refused)

    def _find(self, key_id: str) -> Counts:
        counts = self._counts.setdefault(key_id, Counts())
        self._counts.move_to_end(key_id)
        if len(self._counts) > self._keys:
            self._counts.popitem(last=False)
        return counts
