"""The task behind every idea: adip's cosines, and terms over class texts and a bank of vectors."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from client.train.heads import HeadFit, Judge, fit_ridge
from client.train.losses import soften_divergence
from client.train.plus_methods import Switches
from client.train.tasks import TextReading

Losses = dict[str, Tensor]
Term = Callable[[], Tensor]

__all__ = ["PlusTask", "centre_styles", "lean_texts", "trust_weights"]


@dataclass(frozen=True)
class PlusTask(TextReading):
    """Cosines to image and text with a weight a picture, and what `switches` adds to them."""

    aims: Tensor
    """float32[k, d] unit: what a class's pictures are pulled to; the texts, or leaned."""
    labels: Tensor
    """int64[n]; -1: unlabelled."""
    images: Tensor | None
    """float32[n, d] unit; None: no image term."""
    image_weights: Tensor
    """float32[n]: λ of each picture."""
    teacher: Tensor | None
    """float32[n, k]: the teacher's logits, scale included, for the divergence and the unlabelled."""
    scale: float
    """The teacher's multiplier of cosines."""
    temperature: float
    switches: Switches
    trains_head: bool = False

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """Align: the ridge solution towards λᵢIᵢ + (1−λᵢ)T_y of the labelled pictures, as adip's."""
        known = self.labels[rows] >= 0
        if not bool(known.all()):
            weights = weights * known / (weights * known).sum()
        return fit_ridge(
            features, self._mixture(rows, self.aims[self.labels[rows]]), weights, judge
        )

    def loss(self, outputs: Tensor, rows: Tensor) -> Losses:
        """−⟨ẑ, λᵢIᵢ + (1−λᵢ)T_y⟩ + softmax·CE + divergence·τ²KL + bank·InfoNCE, means over the batch.

        T_y of an unlabelled picture is what `_expect` says.
        """
        student = F.normalize(outputs, dim=-1)
        logits = self.scale * student @ self.texts.T
        mixture = self._mixture(rows, self._find_texts(rows, logits))
        found = {"cosine": (student * mixture).sum(dim=-1).mean()}
        total = -found["cosine"]
        terms: tuple[tuple[str, float, Term], ...] = (
            (
                "cross_entropy",
                self.switches.softmax,
                lambda: F.cross_entropy(logits, self.labels[rows], ignore_index=-1),
            ),
            ("divergence", self.switches.divergence, lambda: self._diverge(logits, rows)),
            ("contrast", self.switches.bank, lambda: self._contrast(student, rows)),
        )
        for name, weight, term in terms:
            if weight:
                found[name] = term()
                total = total + weight * found[name]
        return {"loss": total, **found}

    def _find_texts(self, rows: Tensor, logits: Tensor) -> Tensor:
        """float[n, d]: each picture's aim by its label, or by what is made out without one."""
        texts, unknown = self.aims[self.labels[rows]], self.labels[rows] < 0
        if not bool(unknown.any()):
            return texts
        return torch.where(unknown[:, None], self._expect(rows, logits), texts)

    def _expect(self, rows: Tensor, logits: Tensor) -> Tensor:
        """float[n, d] unit: class texts in the proportions of p_S(y|view)·p_T(y|x), no gradient."""
        assert self.teacher is not None  # noqa: S101
        shares = torch.softmax(logits.detach() + self.teacher[rows], dim=-1)
        return F.normalize(shares @ self.aims, dim=-1)

    def _mixture(self, rows: Tensor, texts: Tensor) -> Tensor:
        if self.images is None:
            return texts
        share = self.image_weights[rows, None]
        return share * self.images[rows] + (1 - share) * texts

    def _diverge(self, logits: Tensor, rows: Tensor) -> Tensor:
        """τ²·KL(teacher ‖ student) over the class texts."""
        assert self.teacher is not None  # noqa: S101
        return soften_divergence(logits, self.teacher[rows], self.temperature)

    def _contrast(self, student: Tensor, rows: Tensor) -> Tensor:
        """−log softmax over all bought vectors at the picture's own; others of its class are left out."""
        assert self.images is not None  # noqa: S101
        logits = self.scale * student @ self.images.T
        others = self.labels[rows, None] == self.labels[None, :]
        others[torch.arange(len(rows)), rows] = False
        return F.cross_entropy(logits.masked_fill(others, float("-inf")), rows)


def trust_weights(image_weight: float, logits: Tensor, labels: Tensor) -> Tensor:
    """float32[n]: λ·p_T(y|x), from the teacher's logits float[n, k] and int64[n] labels."""
    trust = torch.softmax(logits, dim=-1).gather(1, labels[:, None])[:, 0]
    return image_weight * trust


def centre_styles(images: Tensor, domains: Tensor) -> Tensor:
    """float32[n, d] unit: each image vector less its domain's mean, plus the mean of those means."""
    means = {int(d): images[domains == d].mean(dim=0) for d in torch.unique(domains)}
    overall = torch.stack(list(means.values())).mean(dim=0)
    shift = torch.stack([means[int(d)] for d in domains])
    return F.normalize(images - shift + overall, dim=-1)


def lean_texts(texts: Tensor, images: Tensor, labels: Tensor, share: float) -> Tensor:
    """float32[k, d] unit: class texts with `share` of the class's mean image vector in them.

    A class without a picture keeps its text.
    """
    leaned = texts.clone()
    for label in torch.unique(labels):
        mean = F.normalize(images[labels == label].mean(dim=0), dim=-1)
        leaned[label] = F.normalize((1 - share) * texts[label] + share * mean, dim=-1)
    return leaned
