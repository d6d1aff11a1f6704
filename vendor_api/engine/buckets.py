"""The sizes that batches are computed in: few enough to be prepared all, close enough to waste little."""

from bisect import bisect_left
from collections.abc import Sequence

SHORTEST = 8
"""Tokens: a shorter text gains nothing by a size of its own."""

__all__ = ["list_lengths", "list_sizes", "pick_size"]


def list_sizes(largest: int) -> tuple[int, ...]:
    """1, 2, 4, … rows up to `largest`, which is among them."""
    return (*_double(1, largest), largest)


def list_lengths(context: int, *, cut: bool) -> tuple[int, ...]:
    """8, 16, 32, … tokens up to `context`; nothing but it for a model whose texts cannot be cut."""
    return (*_double(SHORTEST, context), context) if cut else (context,)


def pick_size(sizes: Sequence[int], count: int) -> int:
    """The least of the rising `sizes` that holds `count`. Raises ValueError when none does."""
    place = bisect_left(sizes, count)
    if place == len(sizes):
        raise ValueError(f"{count} are more than {sizes[-1]}")
    return sizes[place]


def _double(first: int, end: int) -> list[int]:
    sizes = []
    while first < end:
        sizes.append(first)
        first *= 2
    return sizes
