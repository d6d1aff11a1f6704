"""How far a student's probabilities are to be believed: expected calibration error."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 15

__all__ = ["BINS", "Calibration", "calibrate"]


@dataclass(frozen=True)
class Calibration:
    """Answers sorted into bins by the probability of the class that was named.

    Bin b of 15 holds the pictures whose largest probability lies in (b/15, (b+1)/15].
    """

    counts: NDArray[np.int64]
    """int64[15]: pictures."""
    confidence: NDArray[np.float64]
    """float64[15]: mean largest probability; 0 where a bin is empty."""
    accuracy: NDArray[np.float64]
    """float64[15]: share answered rightly; 0 where a bin is empty."""

    @property
    def error(self) -> float:
        """ECE: Σ n_b/n · |accuracy_b − confidence_b| (Guo et al. 2017, eq. 3), plain accuracy."""
        gaps = np.abs(self.accuracy - self.confidence)
        return float((self.counts * gaps).sum() / self.counts.sum())


def calibrate(probabilities: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> Calibration:
    """The calibration of float[n, k] probabilities against int64[n] labels; n is at least 1."""
    top = probabilities.max(axis=1).astype(np.float64)
    right = probabilities.argmax(axis=1) == labels
    edges = np.arange(1, BINS) / BINS
    place = np.digitize(top, edges, right=True)
    counts = np.bincount(place, minlength=BINS)
    filled = np.maximum(counts, 1)
    return Calibration(
        counts=counts.astype(np.int64),
        confidence=np.bincount(place, weights=top, minlength=BINS) / filled,
        accuracy=np.bincount(place, weights=right, minlength=BINS) / filled,
    )
