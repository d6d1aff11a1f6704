"""A Bloom filter over 64-bit keys: of nearly every key that was never added it says so.

Burton H. Bloom, "Space/Time Trade-offs in Hash Coding with Allowable Errors", CACM 13 (1970). To look
a key up among sorted millions is to wait for memory ten times in a row; here two waits are enough.
"""

import numpy as np
from numpy.typing import NDArray

SMALLEST = 2**16
"""Bits of a filter."""
BITS_PER_KEY = 16
"""Of a full one: with two marks a key, 1 in 70 of the strangers passes then."""

Keys = NDArray[np.uint64]
_Places = NDArray[np.intp]

__all__ = ["BloomFilter", "Keys"]


class BloomFilter:
    """Has room for `capacity` keys, at 2 to 4 bytes each; who needs more makes another.

    Both halves of a key are to be as good as random, as those of a digest are: nothing is hashed.
    """

    def __init__(self, keys: int) -> None:
        """`keys`: so many at least there is room for."""
        bits = max(SMALLEST, 1 << (keys * BITS_PER_KEY - 1).bit_length())
        self.capacity = bits // BITS_PER_KEY
        self._bits = np.zeros(bits // 8, np.uint8)
        self._mask = np.uint64(bits - 1)

    def add(self, keys: Keys) -> None:
        """From now on these may be there."""
        for places in self._find_places(keys):
            self._mark(np.sort(places))

    def sift(self, keys: Keys) -> Keys:
        """Those of the keys that may have been added: all that were, and few others."""
        low, high = self._find_places(keys)
        return keys[self._are_marked(low) & self._are_marked(high)]

    def _mark(self, places: _Places) -> None:
        """Set these bits, given in order: those of one octet must be set at once."""
        octets, marks = places >> 3, (1 << (places & 7)).astype(np.uint8)
        firsts = np.flatnonzero(np.diff(octets, prepend=-1))
        self._bits[octets[firsts]] |= np.bitwise_or.reduceat(marks, firsts)

    def _are_marked(self, places: _Places) -> NDArray[np.bool_]:
        marked: NDArray[np.bool_] = (self._bits[places >> 3] >> (places & 7) & 1).astype(bool)
        return marked

    def _find_places(self, keys: Keys) -> tuple[_Places, _Places]:
        """Which bits stand for each of the keys."""
        low, high = keys & self._mask, (keys >> np.uint64(32)) & self._mask
        return low.astype(np.intp), high.astype(np.intp)
