"""A batch cut into shares that threads compute side by side, one core each.

On a processor this beats one batch on all cores: cores that share every matrix product wait for each
other at each of its hundreds of barriers, and for whatever else the slower of them had to do.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector
from shared.cores import count_cores
from shared.openclip import limit_threads

IMAGES, TEXTS = 4, 16
"""Items of a share at most: more gain nothing, and cores that are free sooner take more of small ones.
Of images, where a core computes twice as many at a time no faster."""
MOST = 32
"""Images of a share at most, however small the model."""
WORTH = 0.92
"""Of the time an image takes: what twice the share must bring it to."""
SLOW_S = 0.25
"""A share that takes longer is not doubled: what is lost between layers is then nothing beside them."""
TRIES = 3

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
        lone_image = len(items) == 1 and items.ndim > 2
        if self._cores == 1 or lone_image:
            return encode(items)
        return np.concatenate(list(self._pool.map(encode, cut(items, self._cores, largest))))

    def find_largest(
        self,
        encode: Callable[[NDArray[Any]], Vector],
        image: NDArray[Any],
        clock: Callable[[], float] = time.perf_counter,
    ) -> int:
        """How many images like this one a share had best hold: tried on one core, from `IMAGES` up.

        A model of small layers spends most of its time between them when a share is small.
        """

        def measure(count: int) -> float:
            images = np.repeat(image[None], count, axis=0)
            times = []
            for _ in range(TRIES):
                began = clock()
                encode(images)
                times.append(clock() - began)
            return min(times)

        def look() -> int:
            encode(image[None])
            largest, seconds = IMAGES, measure(IMAGES)
            while largest < MOST and seconds < SLOW_S:
                twice = measure(2 * largest)
                if twice > WORTH * 2 * seconds:
                    break
                largest, seconds = 2 * largest, twice
            return largest

        return self._pool.submit(look).result()


def cut(items: NDArray[Any], cores: int, largest: int) -> Iterator[NDArray[Any]]:
    """Shares of like size, in order: one for each core, or more of them, of `largest` at most."""
    shares = min(len(items), max(cores, -(-len(items) // largest)))
    yield from np.array_split(items, shares)
