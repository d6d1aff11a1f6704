"""What the rivals teach where it is neither adip's cosines nor plain labels: three more tasks."""

from dataclasses import dataclass

from torch import Tensor

from client.train.heads import HeadFit, Judge, fit_ridge
from client.train.losses import contrastive_loss, feature_loss, kd_loss, text_logits
from client.train.tasks import TextReading

__all__ = ["ContrastiveTask", "FeatureTask", "TextHeadTask"]


@dataclass(frozen=True)
class TextHeadTask(TextReading):
    """Learn labels through the class texts: logits are the cosines to them at the teacher's scale.

    With `teacher` also its softened answers (kd-text); without it plain cross-entropy (wise-ft).
    """

    labels: Tensor
    """int64[n]"""
    logit_scale: float
    teacher: Tensor | None = None
    """float32[n, k] zero-shot logits."""
    temperature: float = 1.0
    kd_weight: float = 1.0
    trains_head: bool = True

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """The ridge solution towards each picture's class text.

        The loss itself depends on directions alone, so with an L2 penalty it has no optimum.
        """
        return fit_ridge(features, self.texts[self.labels[rows]], weights, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """`kd_loss` on `text_logits`."""
        logits = text_logits(outputs, self.texts, self.logit_scale)
        teacher = None if self.teacher is None else self.teacher[rows]
        return kd_loss(logits, self.labels[rows], teacher, self.temperature, self.kd_weight)


@dataclass(frozen=True)
class FeatureTask(TextReading):
    """Give the teacher's image vectors themselves; its classifier, the texts, answers (simkd)."""

    images: Tensor
    """float32[n, dT] unit."""
    trains_head: bool = True

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """The ridge solution towards the image vectors: this loss's own optimum, exactly."""
        return fit_ridge(features, self.images[rows], weights, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """`feature_loss`; neither labels nor texts enter."""
        return feature_loss(outputs, self.images[rows])


@dataclass(frozen=True)
class ContrastiveTask(TextReading):
    """Match the batch's pictures with the batch's class texts, as CLIP was trained (flyp)."""

    labels: Tensor
    """int64[n]"""
    logit_scale: float
    trains_head: bool = True

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """The ridge solution towards each picture's class text."""
        return fit_ridge(features, self.texts[self.labels[rows]], weights, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """`contrastive_loss`."""
        return contrastive_loss(outputs, self.texts, self.labels[rows], self.logit_scale)
