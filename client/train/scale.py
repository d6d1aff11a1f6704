"""The teacher's logit scale: as published, or fitted where a teacher publishes none."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from client.train.errors import MissingVectors
from client.train.fold import Fold
from client.train.querying import stored_views
from client.train.teacher import Teacher

LOWEST, HIGHEST = 1.0, 100.0
"""Between them the scale is looked for; CLIP's own training stops it at 100."""
ROWS = 2000
"""Pictures that decide it at most, evenly spread."""
ROUNDS = 60

__all__ = ["find_scale", "fit_scale"]


def find_scale(teacher: Teacher, fold: Fold) -> float:
    """What multiplies the teacher's cosines before a softmax, on this fold.

    Unpublished, it is the one under which the teacher names the fold's labelled training pictures
    best; targets and validation have no part in it. Without their vectors, as for methods that read
    class texts alone, it is the document's guess.
    """
    document = teacher.document
    if document.scale_known:
        return document.logit_scale
    rows = fold.labelled[np.isin(fold.labelled, fold.queried)]
    rows = rows[:: len(rows) // ROWS + 1]
    try:
        images = teacher.read_images(fold, rows, view=stored_views(fold)[0])
        texts = teacher.read_texts(fold)
    except MissingVectors:
        return document.logit_scale
    return fit_scale(images @ texts.T, fold.labels[rows])


def fit_scale(cosines: NDArray[np.floating[Any]], labels: NDArray[np.int64]) -> float:
    """The s in [1, 100] with the least cross-entropy of softmax(s · cosines), float[n, k], n ≥ 1.

    Cross-entropy is convex in s, so a ternary search finds it.
    """
    wide = cosines.astype(np.float64)
    own = wide[np.arange(len(labels)), labels]

    def cross_entropy(scale: float) -> float:
        return float(np.logaddexp.reduce(scale * (wide - own[:, None]), axis=1).mean())

    low, high = LOWEST, HIGHEST
    for _ in range(ROUNDS):
        left, right = low + (high - low) / 3, high - (high - low) / 3
        if cross_entropy(left) < cross_entropy(right):
            high = right
        else:
            low = left
    return (low + high) / 2
