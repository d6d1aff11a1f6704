"""Vectors computed lately or just now: equal items of one account are computed once.

In memory only, and never across accounts. Money knows nothing of it: what an item costs is decided by
the ledger, and what is found here was free or is charged like any other.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable, Mapping
from types import TracebackType

from shared.codecs import Vector
from shared.wire import Modality

Key = tuple[str, str, Modality, bytes]
"""Account, revision, modality, digest."""

_OVERHEAD = 400
"""Bytes of a kept vector beside its numbers, about."""

__all__ = ["Claims", "Key", "Results"]


class Results:
    """What the vendor still knows of vectors it has computed. For one event loop."""

    def __init__(
        self, max_bytes: int, observe: Callable[[str, int], None] = lambda kind, items: None
    ) -> None:
        self._max_bytes = max_bytes
        self._observe = observe
        self._bytes = 0
        self._kept: OrderedDict[Key, Vector] = OrderedDict()
        self._under_way: dict[Key, asyncio.Future[Vector | None]] = {}

    def claim(self, keys: Mapping[int, Key]) -> "Claims":
        """Who computes what of a request's lines; use it in a `with`."""
        claims = Claims(self)
        for line, key in keys.items():
            vector = self._kept.get(key)
            if vector is not None:
                self._kept.move_to_end(key)
                claims.found[line] = vector
            elif key in self._under_way:
                claims.shared[line] = self._under_way[key]
            else:
                self._under_way[key] = asyncio.get_running_loop().create_future()
                claims.own[line] = key
        for kind, lines in (("kept", claims.found), ("shared", claims.shared)):
            self._observe(kind, len(lines))
        return claims

    def knows(self, key: Key) -> bool:
        """Whether asking for it now would compute nothing more."""
        return key in self._kept or key in self._under_way

    def settle(self, key: Key, vector: Vector | None) -> None:
        """End a computation; None: whoever waits must do it again."""
        future = self._under_way.pop(key)
        if not future.done():
            future.set_result(vector)
        if vector is not None:
            self._keep(key, vector)

    def _keep(self, key: Key, vector: Vector) -> None:
        if vector.nbytes + _OVERHEAD > self._max_bytes:
            return
        # A row of a batch would keep the whole batch alive.
        self._kept[key] = vector.copy()
        self._bytes += vector.nbytes + _OVERHEAD
        while self._bytes > self._max_bytes:
            _, oldest = self._kept.popitem(last=False)
            self._bytes -= oldest.nbytes + _OVERHEAD


class Claims:
    """One request's part: what is known, what another request computes, what it must do itself."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self.found: dict[int, Vector] = {}
        self.shared: dict[int, asyncio.Future[Vector | None]] = {}
        self.own: dict[int, Key] = {}

    def __enter__(self) -> "Claims":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        """Give up what was not computed, so that nobody waits for it."""
        for line in list(self.own):
            self.settle(line, None)

    def settle(self, line: int, vector: Vector | None) -> None:
        """Tell those who wait for this line."""
        self._results.settle(self.own.pop(line), vector)
