"""How sure a difference is, and what goes with accuracy: a clustered bootstrap, a rank correlation."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
LEVEL = 0.95

Floats = NDArray[np.floating[Any]]

__all__ = ["Difference", "Paired", "correlate_ranks", "paired_difference"]


@dataclass(frozen=True)
class Paired:
    """Two methods on the same pictures of one class split."""

    labels: NDArray[np.int64]
    """int64[m]"""
    groups: Sequence[str]
    """Which drawing each picture shows: drawn again together."""
    better: Floats
    """float[m]: share of the seeds that answered rightly, by the method expected to be better."""
    base: Floats
    """float[m]: by the other."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A difference of mean per-class accuracies with its interval."""

    value: float
    low: float
    high: float

    def document(self) -> dict[str, float]:
        """As JSON carries it."""
        return {"difference": self.value, "low": self.low, "high": self.high}


def paired_difference(splits: Sequence[Paired], *, draws: int = DRAWS, seed: int = 0) -> Difference:
    """Mean over class splits of (better − base), with a 95 % percentile interval.

    Each draw takes class splits with replacement, and in each of them drawings with replacement:
    pictures of one drawing stay together, and both methods are read on the same ones.
    """
    rng = np.random.default_rng(seed)
    value = float(
        np.mean([_difference(part, np.ones((1, len(part.labels))))[0] for part in splits])
    )
    resampled = np.stack([_resample(part, draws, rng) for part in splits])
    chosen = rng.integers(len(splits), size=(len(splits), draws))
    # A class split that is taken twice has its drawings drawn anew each time.
    means = resampled[chosen, rng.integers(draws, size=chosen.shape)].mean(axis=0)
    tail = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(means, [tail, 100 - tail])
    return Difference(value, float(low), float(high))


def correlate_ranks(one: Sequence[float], other: Sequence[float]) -> float | None:
    """Spearman's ρ, equal values sharing their mean rank; None below three or when all are equal."""
    if len(one) < 3:
        return None
    x, y = (_rank(np.asarray(values, dtype=np.float64)) for values in (one, other))
    x, y = x - x.mean(), y - y.mean()
    spread = float(np.sqrt((x @ x) * (y @ y)))
    return float(x @ y) / spread if spread else None


def _resample(part: Paired, draws: int, rng: np.random.Generator) -> Floats:
    """float64[draws]: the difference on drawings drawn again."""
    _, inverse = np.unique(np.asarray(part.groups), return_inverse=True)
    count = int(inverse.max()) + 1
    times = rng.multinomial(count, np.full(count, 1 / count), size=draws)
    return _difference(part, times[:, inverse].astype(np.float64))


def _difference(part: Paired, weights: Floats) -> Floats:
    """float64[b]: difference of mean per-class accuracies under float[b, m] picture weights."""
    members = (part.labels[:, None] == np.unique(part.labels)[None, :]).astype(np.float64)
    mass = weights @ members
    gained = (weights * (part.better - part.base)) @ members
    occurs = mass > 0
    shares = np.divide(gained, mass, out=np.zeros_like(gained), where=occurs)
    found: Floats = shares.sum(axis=1) / occurs.sum(axis=1)
    return found


def _rank(values: Floats) -> Floats:
    """float64[n] ranks from 0; equal values share the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    first = np.concatenate([[0], counts.cumsum()[:-1]])
    ranks: Floats = (first + (counts - 1) / 2)[inverse]
    return ranks
