"""The regions of an embedding space: on which side of twelve fixed planes a vector lies.

Locality-sensitive hashing as in "Bucks for Buckets" (Dubiński et al., NeurIPS 2023), which watches
how many regions a client touches. Which regions an account has touched tells no vector of it.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector

PLANES = 12
BUCKETS = 2**PLANES
BYTES = BUCKETS // 8
"""Of an account's sketch of one model: a bit for each region."""

__all__ = ["BUCKETS", "BYTES", "Bits", "count_bits", "find_buckets", "mark_buckets"]

Bits = NDArray[np.uint8]


def find_buckets(vectors: Sequence[Vector]) -> NDArray[np.int64]:
    """The region of each vector, 0 to 4095; the same in every process."""
    sides = np.stack(vectors) @ _make_planes(len(vectors[0])) > 0
    return sides @ (1 << np.arange(PLANES, dtype=np.int64))


def mark_buckets(bits: Bits, buckets: NDArray[np.int64]) -> None:
    """Set the bits of those regions in place."""
    np.bitwise_or.at(bits, buckets >> 3, (1 << (buckets & 7)).astype(np.uint8))


def count_bits(bits: bytes) -> int:
    """How many regions are marked."""
    return int.from_bytes(bits).bit_count()


@lru_cache
def _make_planes(dimension: int) -> Vector:
    random = np.random.default_rng(dimension)
    return random.standard_normal((dimension, PLANES)).astype(np.float32)
