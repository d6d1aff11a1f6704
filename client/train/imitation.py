"""How far a student imitates its teacher (Li et al. 2023), from cached vectors: costs no query.

All distances are between unit vectors. `student` and `teacher` are float[n, d], row i the same picture.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Vectors = NDArray[np.floating[Any]]
NEIGHBOURS = (3, 5, 10)
"""k of M_neigh."""
LABELS = (2, 3, 5)
"""k of M_vlalign."""
TIE = 1e-9
"""Squared distances this close are equal: of two files alike, neither is the nearer one."""
CHUNK = 512
"""Rows compared with all others at once: bounds the memory."""

__all__ = [
    "LABELS",
    "NEIGHBOURS",
    "Imitation",
    "measure_distance",
    "measure_imitation",
    "measure_inversions",
    "measure_neighbourhood",
    "measure_retrieval",
]


@dataclass(frozen=True, slots=True)
class Imitation:
    """The metrics of one set of pictures."""

    pictures: int
    mse: float
    """Mean |ŝ − t̂|²."""
    angle: float
    """Mean angle between student and teacher, in degrees."""
    retrieval: float
    """M_rel, higher is better."""
    neighbourhood: dict[int, float]
    """k → M_neigh(k), higher is better."""
    inversions: dict[int, float]
    """k → M_vlalign(k), lower is better; 0 is the teacher's own order."""

    def document(self) -> dict[str, float]:
        """Flat, as a result line carries it: `m_neigh_5` and so on."""
        found = {"mse": self.mse, "angle": self.angle, "m_rel": self.retrieval}
        found |= {f"m_neigh_{k}": value for k, value in self.neighbourhood.items()}
        return found | {f"m_vlalign_{k}": value for k, value in self.inversions.items()}


def measure_imitation(student: Vectors, teacher: Vectors, texts: Vectors) -> Imitation:
    """All metrics; `texts`: float[k, d], the class texts to be ordered. n is at least 2."""
    ours, theirs, labels = _unit(student), _unit(teacher), _unit(texts)
    mse, angle = measure_distance(ours, theirs)
    return Imitation(
        pictures=len(ours),
        mse=mse,
        angle=angle,
        retrieval=measure_retrieval(ours, theirs),
        neighbourhood={k: measure_neighbourhood(ours, theirs, k) for k in NEIGHBOURS},
        inversions={k: measure_inversions(ours, theirs, labels, k) for k in LABELS},
    )


def measure_distance(student: Vectors, teacher: Vectors) -> tuple[float, float]:
    """(mean squared distance, mean angle in degrees)."""
    cosines = (_unit(student) * _unit(teacher)).sum(axis=1)
    angles = np.degrees(np.arccos(cosines.clip(-1, 1)))
    return float((2 - 2 * cosines).mean()), float(angles.mean())


def measure_retrieval(student: Vectors, teacher: Vectors) -> float:
    """M_rel = (1/n) Σ 1[i = argmin_j |T(x_j) − S(x_i)|²]: the share that finds its own picture.

    Ties count as found.
    """
    ours, theirs = _unit(student), _unit(teacher)
    own = 2 - 2 * (ours * theirs).sum(axis=1)
    nearest = [_apart(ours[rows], theirs).min(axis=1) for rows in _chunks(len(ours))]
    return float((own <= np.concatenate(nearest) + TIE).mean())


def measure_neighbourhood(student: Vectors, teacher: Vectors, k: int) -> float:
    """M_neigh(k) = (1/kn) Σ |KNN(S, x_i) ∩ KNN(T, x_i)|, a picture being no neighbour of itself.

    k is capped at n − 1; of equally near pictures the earlier row counts.
    """
    ours, theirs = _unit(student), _unit(teacher)
    k = min(k, len(ours) - 1)
    shared = 0
    for rows in _chunks(len(ours)):
        one, other = _nearest(ours, rows, k), _nearest(theirs, rows, k)
        shared += int((one[:, :, None] == other[:, None, :]).sum())
    return shared / (k * len(ours))


def measure_inversions(student: Vectors, teacher: Vectors, texts: Vectors, k: int) -> float:
    """M_vlalign(k): pairs among the teacher's k nearest texts whose order the student inverts, a mean.

    k is capped at the number of texts.
    """
    ours, labels = _unit(student), _unit(texts)
    order = np.argsort(_apart(_unit(teacher), labels), axis=1, kind="stable")[:, :k]
    apart = np.take_along_axis(_apart(ours, labels), order, axis=1)
    inverted = np.triu(apart[:, :, None] > apart[:, None, :] + TIE, k=1)
    return float(inverted.sum() / len(ours))


def _unit(vectors: Vectors) -> Vectors:
    rows = np.asarray(vectors, dtype=np.float64)
    length = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Vectors = rows / np.maximum(length, np.finfo(np.float64).tiny)
    return unit


def _apart(one: Vectors, other: Vectors) -> Vectors:
    """float64[n, m] squared distances of unit rows."""
    apart: Vectors = 2 - 2 * one @ other.T
    return apart


def _nearest(vectors: Vectors, rows: NDArray[np.int64], k: int) -> NDArray[np.int64]:
    """int64[len(rows), k]: each row's nearest others."""
    # Rounded, so that equal distances are equal and the earlier row wins.
    apart = np.round(_apart(vectors[rows], vectors) / TIE)
    apart[np.arange(len(rows)), rows] = np.inf
    nearest: NDArray[np.int64] = np.argsort(apart, axis=1, kind="stable")[:, :k]
    return nearest


def _chunks(count: int) -> list[NDArray[np.int64]]:
    return [np.arange(start, min(start + CHUNK, count)) for start in range(0, count, CHUNK)]
