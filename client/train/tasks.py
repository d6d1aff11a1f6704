"""What a method teaches: targets over cached vectors, a loss, and how outputs are read as classes."""

from dataclasses import dataclass
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor

from client.train.heads import HeadFit, Judge, fit_classifier, fit_ridge
from client.train.losses import adip_loss, kd_loss

__all__ = ["AlignmentTask", "ClassificationTask", "Task", "TextReading", "read_scores"]

Losses = dict[str, Tensor]
"""`loss` to be minimised, and its components for the log; scalars."""


class Task(Protocol):
    """One method on one fold. `rows` are positions in the fold's training part."""

    @property
    def head_width(self) -> int:
        """Numbers a picture: the teacher's dimension, or the classes."""
        ...

    @property
    def trains_head(self) -> bool:
        """Whether Distill also moves the head; aligned heads stay as Align left them."""
        ...

    @property
    def classes(self) -> Tensor | None:
        """float32[k, d] unit class texts that outputs are compared with; None: they are logits."""
        ...

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """The head for fixed features float32[n, dS], to convergence; `weights` sum to one."""
        ...

    def loss(self, outputs: Tensor, rows: Tensor) -> Losses:
        """The objective on float[n, head_width]."""
        ...


@dataclass(frozen=True)
class TextReading:
    """What tasks share whose student answers by its cosines to the class texts."""

    texts: Tensor
    """float[k, dT] unit."""

    @property
    def head_width(self) -> int:
        """The teacher's dimension."""
        return self.texts.shape[1]

    @property
    def classes(self) -> Tensor | None:
        """The texts."""
        return self.texts


@dataclass(frozen=True)
class AlignmentTask(TextReading):
    """Point the student where the teacher's image and class text vectors point.

    adip and its ablations, text-only, feature-only (λ = 1), one-stage, sd.
    """

    labels: Tensor
    """int64[n]"""
    images: Tensor | None
    """float32[n, dT] unit; None: the class texts alone."""
    image_weight: float
    trains_head: bool = False
    asked: Tensor | None = None
    """bool[n]: where there is an image vector; elsewhere the class text has all the weight."""

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """Align: the ridge solution towards u = λI + (1−λ)T_y.

        The loss equals −⟨ẑ, u⟩, so u is the direction that it asks for; regressing on u asks for
        the same direction, has one optimum, and is solved exactly.
        """
        return fit_ridge(features, self.aim(rows), weights, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> Losses:
        """Distill: `adip_loss`, eq. of method § 1.3."""
        images = None if self.images is None else self.images[rows]
        return adip_loss(outputs, self.texts[self.labels[rows]], images, self._weigh(rows))

    def aim(self, rows: Tensor) -> Tensor:
        """float32[n, dT]: u = λI + (1−λ)T_y, the direction that the loss asks for."""
        texts = self.texts[self.labels[rows]]
        if self.images is None:
            return texts
        weight = self._weigh(rows)
        share = weight[:, None] if isinstance(weight, Tensor) else weight
        return share * self.images[rows] + (1 - share) * texts

    def _weigh(self, rows: Tensor) -> float | Tensor:
        """λ, or float[n]: λ where the teacher was asked, else 0."""
        return self.image_weight if self.asked is None else self.image_weight * self.asked[rows]


@dataclass(frozen=True)
class ClassificationTask:
    """Learn the labels (linear-probe, erm, lp-ft), and with `teacher` also its softened answers (kd)."""

    labels: Tensor
    """int64[n]"""
    class_count: int
    teacher: Tensor | None
    """float32[n, k] zero-shot logits; None: labels alone."""
    temperature: float
    kd_weight: float = 1.0
    """α: the divergence's weight beside the cross-entropy's one."""
    trains_head: bool = True
    classes: Tensor | None = None
    asked: Tensor | None = None
    """bool[n]: where there is a teacher's answer; elsewhere the label stands alone."""

    @property
    def head_width(self) -> int:
        return self.class_count

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """The linear probe: this task's loss on fixed features, with an L2 penalty."""
        labels = self.labels[rows]
        teacher = None if self.teacher is None else self.teacher[rows]
        asked = None if self.asked is None else self.asked[rows]

        def objective(logits: Tensor) -> Tensor:
            per_row = F.cross_entropy(logits, labels, reduction="none")
            if teacher is not None:
                divergence = _divergence(logits, teacher, self.temperature)
                divergence = self.kd_weight * divergence
                per_row = per_row + (divergence if asked is None else divergence * asked)
            return (weights * per_row).sum()

        return fit_classifier(features, self.class_count, weights, objective, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> Losses:
        """`kd_loss`."""
        teacher = None if self.teacher is None else self.teacher[rows]
        asked = None if self.asked is None else self.asked[rows]
        return kd_loss(outputs, self.labels[rows], teacher, self.temperature, self.kd_weight, asked)


def read_scores(outputs: Tensor, classes: Tensor | None) -> Tensor:
    """float[n, k] whose argmax is the answer: cosines to the class texts, or the logits as they are."""
    return outputs if classes is None else F.normalize(outputs, dim=-1) @ classes.T


def _divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """τ²·KL of each row, float[n]."""
    ours = torch.log_softmax(logits / temperature, dim=-1)
    theirs = torch.log_softmax(teacher / temperature, dim=-1)
    return temperature**2 * (theirs.exp() * (theirs - ours)).sum(dim=-1)
