"""How sure a figure is: standard errors, and a paired bootstrap over drawings."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS_AT_ONCE = 2**23
"""Resampled counts held in memory together; it changes no figure."""

__all__ = ["Interval", "average", "bootstrap", "paired_bootstrap"]

Right = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure and its confidence interval, as shares of one."""

    mean: float
    low: float
    high: float

    @property
    def excludes_zero(self) -> bool:
        """Whether the whole interval lies on one side of nought."""
        return self.low > 0 or self.high < 0

    def document(self) -> dict[str, float]:
        """As summary.json and the report carry it."""
        return {"mean": self.mean, "low": self.low, "high": self.high}


def average(values: Sequence[float]) -> tuple[float, float | None]:
    """(mean, standard error); no error of a single value."""
    if len(values) < 2:
        return float(np.mean(values)), None
    return float(np.mean(values)), float(np.std(values, ddof=1) / math.sqrt(len(values)))


def paired_bootstrap(
    right_a: Sequence[Right],
    right_b: Sequence[Right],
    labels: Sequence[NDArray[np.int64]],
    groups: Sequence[Sequence[str]],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
    at_once: int = DRAWS_AT_ONCE,
) -> Interval:
    """By how much the mean per-class accuracy of a exceeds that of b, with a percentile interval.

    Element p of each list is one pair of runs (a fold and a seed) on the same pictures: bool[n_p]
    whether a and b were right, int64[n_p] classes, n_p names of drawings. The figure is the mean over
    pairs of the difference in mean per-class accuracy.

    Drawings are resampled, not pictures, and once for all pairs: one that occurs in several folds or
    seeds is drawn equally often in each. A class that a resample leaves empty is left out of that
    resample's mean. The interval is about other drawings of the same kind; it does not speak of other
    trainings (the tables give the error over seeds beside it). Raises ValueError for unequal lengths
    and for no pair.
    """
    if not right_a or not len(right_a) == len(right_b) == len(labels) == len(groups):
        raise ValueError("give the same number of pairs, at least one, in every list")
    names = sorted({name for pair in groups for name in pair})
    place = {name: index for index, name in enumerate(names)}
    pairs = [
        _gather(a, b, k, np.array([place[name] for name in g], dtype=np.int64))
        for a, b, k, g in zip(right_a, right_b, labels, groups, strict=True)
    ]
    once = np.ones((1, len(names)))
    rng = np.random.default_rng(seed)
    share = np.full(len(names), 1 / len(names))
    # Whole parts of one stream: how many are held at once changes no figure.
    size = max(1, at_once // len(names))
    parts = [
        _mean_difference(pairs, rng.multinomial(len(names), share, min(size, repeats - start)))
        for start in range(0, repeats, size)
    ]
    low, high = np.quantile(np.concatenate(parts), [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(_mean_difference(pairs, once)[0]), float(low), float(high))


def bootstrap(
    right: Sequence[Right],
    labels: Sequence[NDArray[np.int64]],
    groups: Sequence[Sequence[str]],
    *,
    level: float = 0.95,
    repeats: int = 2000,
    seed: int = 0,
) -> Interval:
    """The mean per-class accuracy itself: `paired_bootstrap` against answers that are never right."""
    never = [np.zeros(len(k), dtype=np.bool_) for k in labels]
    return paired_bootstrap(right, never, labels, groups, level=level, repeats=repeats, seed=seed)


@dataclass(frozen=True, slots=True)
class _Cells:
    """One pair, summed over the pictures of each (class, drawing)."""

    group: NDArray[np.int64]
    """int64[c] sorted by class."""
    first: NDArray[np.int64]
    """int64[k]: where each class begins."""
    gain: NDArray[np.float64]
    """float64[c]: how many more pictures a has right than b."""
    count: NDArray[np.float64]
    """float64[c]: pictures."""


def _gather(a: Right, b: Right, labels: NDArray[np.int64], group: NDArray[np.int64]) -> _Cells:
    if not len(a) == len(b) == len(labels) == len(group) or not len(a):
        raise ValueError("a pair's arrays must be equally long, and hold at least one picture")
    keys, place = np.unique(np.stack([labels, group]), axis=1, return_inverse=True)
    cell = place.ravel()
    total = np.zeros(keys.shape[1])
    np.add.at(total, cell, a.astype(np.float64) - b.astype(np.float64))
    return _Cells(
        group=keys[1],
        first=np.flatnonzero(np.diff(keys[0], prepend=keys[0, 0] - 1)),
        gain=total,
        count=np.bincount(cell).astype(np.float64),
    )


def _mean_difference(pairs: Sequence[_Cells], draws: NDArray[Any]) -> NDArray[np.float64]:
    """float64[r] of draws[r, g]: how often each resample holds each drawing."""
    total = np.zeros(len(draws))
    for pair in pairs:
        times = draws[:, pair.group]
        gain = np.add.reduceat(times * pair.gain, pair.first, axis=1)
        count = np.add.reduceat(times * pair.count, pair.first, axis=1)
        share = np.divide(gain, count, out=np.zeros_like(gain), where=count > 0)
        # A tiny fold can lose every class to one resample: it then says nothing, not NaN.
        total += share.sum(axis=1) / np.maximum(1, (count > 0).sum(axis=1))
    return total / len(pairs)
