"""A batch cut into shares that threads compute side by side, one core each.

On a processor this beats one batch on all cores: cores that share every matrix product wait for each
other at each of its hundreds of barriers, and for whatever else the slower of them had to do.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector
from shared.cores import count_cores
from shared.openclip import limit_threads

IMAGES, TEXTS = 4, 16
"""Items of a share at most: more gain nothing, and cores that are free sooner take more of small ones."""

__all__ = ["IMAGES", "TEXTS", "SideBySide", "cut"]


class SideBySide:
    """An encoder that uses `cores` threads of one core each; a lone image has all cores to itself."""

    def __init__(self, cores: int | None = None) -> None:
        self._cores = cores or count_cores()
        self._pool = ThreadPoolExecutor(
            self._cores, "share", initializer=limit_threads, initargs=(1,)
        )

    def __call__(
        self, encode: Callable[[NDArray[Any]], Vector], largest: int, items: NDArray[Any]
    ) -> Vector:
        """float32[n, d]: what `encode` makes of `items`, `largest` at a time; any thread may call."""
        if self._cores == 1 or (len(items) == 1 and largest == IMAGES):
            return encode(items)
        return np.concatenate(list(self._pool.map(encode, cut(items, self._cores, largest))))


def cut(items: NDArray[Any], cores: int, largest: int) -> Iterator[NDArray[Any]]:
    """Shares of like size, in order: one for each core, or more of them, of `largest` at most."""
    shares = min(len(items), max(cores, -(-len(items) // largest)))
    yield from np.array_split(items, shares)
