"""Whether a model's vectors survive a lower precision: measured on real pictures, never assumed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector
from vendor_api.engine.base import Model

MEAN_COSINE = 0.9999
LEAST_COSINE = 0.9995
TOP1_AGREEMENT = 0.995
"""What bf16 has to reach against fp32 to be served."""
ENOUGH = 1000
"""Pictures to measure with."""
_BATCH = 16

__all__ = ["ENOUGH", "Agreement", "compare_models", "compare_vectors"]


@dataclass(frozen=True, slots=True)
class Agreement:
    """How alike two precisions of one model are."""

    pictures: int
    mean_cosine: float
    least_cosine: float
    top1: float
    """Share of pictures that both give to the same text; nearest other picture without texts."""

    @property
    def passes(self) -> bool:
        """Whether the lower precision may stand for the higher."""
        return (
            self.mean_cosine >= MEAN_COSINE
            and self.least_cosine >= LEAST_COSINE
            and self.top1 >= TOP1_AGREEMENT
        )


def compare_models(
    reference: Model,
    other: Model,
    pictures: Sequence[NDArray[np.uint8]],
    texts: NDArray[np.int32] | None = None,
) -> Iterator[int | Agreement]:
    """How many pictures are done, after each batch, and at the end how alike the vectors are.

    `texts`: int32[t, context], among which each picture is given to its nearest.
    """
    models = (reference, other)
    rows: list[list[Vector]] = []
    for start in range(0, len(pictures), _BATCH):
        batch = np.stack(pictures[start : start + _BATCH])
        rows.append([model.encode_images(batch) for model in models])
        yield start + len(batch)
    images = [np.concatenate(side) for side in zip(*rows, strict=True)]
    classes = [None if texts is None else model.encode_texts(texts) for model in models]
    yield compare_vectors(images[0], images[1], classes[0], classes[1])


def compare_vectors(
    reference: Vector,
    other: Vector,
    reference_texts: Vector | None = None,
    other_texts: Vector | None = None,
) -> Agreement:
    """Of two float32[n, d] of unit vectors of the same pictures, n ≥ 2, and float32[t, d] of texts."""
    cosines = (reference * other).sum(axis=1)
    same = _find_nearest(reference, reference_texts) == _find_nearest(other, other_texts)
    return Agreement(len(cosines), float(cosines.mean()), float(cosines.min()), float(same.mean()))


def _find_nearest(vectors: Vector, texts: Vector | None) -> NDArray[np.intp]:
    likeness = vectors @ (vectors if texts is None else texts).T
    if texts is None:
        np.fill_diagonal(likeness, -np.inf)
    nearest: NDArray[np.intp] = likeness.argmax(axis=1)
    return nearest
