"""Classifiers made of vectors alone: class texts, class means, nearest pictures."""

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector

CHUNK = 512
"""Pictures compared at once."""

Labels = NDArray[np.int64]

__all__ = ["classify", "mean_by_class", "mean_class_accuracy", "nearest_means"]


def classify(vectors: Vector, classes: Vector | None) -> Labels | None:
    """int64[n]: the class whose vector, float32[k, d], has the largest cosine; None without classes."""
    return None if classes is None else np.argmax(vectors @ classes.T, axis=1)


def mean_by_class(vectors: Vector, labels: Labels, count: int) -> Vector | None:
    """float32[k, d] unit: each class's mean vector; None when a class has no picture."""
    if len(set(labels.tolist())) < count:
        return None
    means = np.stack([vectors[labels == k].mean(axis=0) for k in range(count)])
    return np.asarray(means / np.linalg.norm(means, axis=1, keepdims=True), dtype=np.float32)


def nearest_means(
    asked: Vector,
    vectors: Vector,
    labels: Labels,
    count: int,
    neighbours: int,
    *,
    skip_self: bool = False,
) -> Labels | None:
    """int64[n]: the class whose `neighbours` pictures nearest to the asked one have the mean that
    points most its way; None when a class has no picture to offer.

    With `skip_self` row i of `vectors` is asked picture i and does not answer for itself.
    """
    smallest = int(np.bincount(labels, minlength=count).min()) if len(labels) else 0
    if smallest <= int(skip_self):
        return None
    parts = []
    for start in range(0, len(asked), CHUNK):
        rows = asked[start : start + CHUNK]
        own = np.arange(start, start + len(rows)) if skip_self else None
        scores = [_score(rows, vectors, labels == k, neighbours, own) for k in range(count)]
        parts.append(np.argmax(np.stack(scores, axis=1), axis=1))
    return np.concatenate(parts) if parts else np.empty(0, dtype=np.int64)


def mean_class_accuracy(answers: Labels | None, labels: Labels) -> float | None:
    """Mean over the classes that occur of the share answered rightly; None without answers."""
    if answers is None:
        return None
    return float(np.mean([(answers[labels == k] == k).mean() for k in np.unique(labels)]))


def _score(
    rows: Vector, vectors: Vector, mine: NDArray[np.bool_], neighbours: int, own: Labels | None
) -> NDArray[np.float32]:
    """float32[n]: cosine of each row with the mean of its nearest vectors of one class."""
    chosen = np.flatnonzero(mine)
    cosines = rows @ vectors[chosen].T
    if own is not None:
        cosines[own[:, None] == chosen[None, :]] = -np.inf
    kept = min(neighbours, len(chosen) - int(own is not None))
    best = np.argpartition(-cosines, kept - 1, axis=1)[:, :kept]
    means = vectors[chosen][best].mean(axis=1)
    means /= np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)
    scores: NDArray[np.float32] = (rows * means).sum(axis=1)
    return scores
