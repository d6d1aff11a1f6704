"""How right a student is, per domain: plain accuracy and mean per-class accuracy."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.train.augment import to_unit_range
from client.train.fold import Fold, Rows
from client.train.pixels import Pixels
from client.train.student import Student
from client.train.tasks import read_scores

BATCH = 256

__all__ = ["Accuracy", "Evaluation", "evaluate_fold", "measure", "score_pictures"]


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Two readings of the same answers."""

    pictures: int
    plain: float
    """Share of pictures answered rightly."""
    per_class: float
    """Mean over the classes that occur of the share in each: rare classes count as much."""


@dataclass(frozen=True)
class Evaluation:
    """One student, or the teacher, on one fold. Parts without an answer are absent."""

    training: dict[str, Accuracy]
    """Domain → its training part (DomainBed's `in`)."""
    validation: dict[str, Accuracy]
    """Domain → its validation part (DomainBed's `out`)."""
    whole: dict[str, Accuracy]
    """Target domain → all of its pictures."""
    sources: tuple[str, ...]

    @property
    def in_domain(self) -> Accuracy:
        """Mean over the sources of their validation parts; a tiny source may have none."""
        return _mean([self.validation[d] for d in self.sources if d in self.validation])

    @property
    def out_of_domain(self) -> Accuracy | None:
        """Mean over the target domains, every picture of theirs; None without a target."""
        return _mean(list(self.whole.values())) if self.whole else None


def measure(answers: NDArray[np.int64], labels: NDArray[np.int64]) -> Accuracy:
    """Accuracy of int64[n] answers against int64[n] labels; n is at least 1."""
    right = answers == labels
    shares = [float(right[labels == k].mean()) for k in np.unique(labels)]
    return Accuracy(len(labels), float(right.mean()), float(np.mean(shares)))


@torch.no_grad()
def score_pictures(
    student: Student, classes: Tensor | None, pixels: Pixels, rows: Rows
) -> NDArray[np.float32]:
    """float32[len(rows), k]: cosines to the class texts, or logits, of the chosen pictures."""
    student.eval()
    parts = [
        read_scores(student(to_unit_range(pixels[rows[i : i + BATCH]])).cpu(), classes).numpy()
        for i in range(0, len(rows), BATCH)
    ]
    width = len(classes) if classes is not None else student.spec.head_width
    return np.concatenate(parts) if parts else np.empty((0, width), dtype=np.float32)


def evaluate_fold(fold: Fold, answers: NDArray[np.int64]) -> Evaluation:
    """The evaluation of int64[n] answers to every picture; −1 where none was asked for."""

    def of(rows: Rows) -> Accuracy | None:
        if not len(rows) or (answers[rows] < 0).any():
            return None
        return measure(answers[rows], fold.labels[rows])

    domains = fold.manifest.domains
    return Evaluation(
        training=_present((d, of(fold.part(d, "in"))) for d in domains),
        validation=_present((d, of(fold.part(d, "out"))) for d in domains),
        whole=_present(
            (d, of(np.union1d(fold.part(d, "in"), fold.part(d, "out")))) for d in fold.targets
        ),
        sources=fold.sources,
    )


def _present(found: Iterable[tuple[str, Accuracy | None]]) -> dict[str, Accuracy]:
    return {domain: accuracy for domain, accuracy in found if accuracy is not None}


def _mean(parts: Sequence[Accuracy]) -> Accuracy:
    return Accuracy(
        sum(part.pictures for part in parts),
        float(np.mean([part.plain for part in parts])),
        float(np.mean([part.per_class for part in parts])),
    )
