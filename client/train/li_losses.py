"""The objectives of Li et al. (ICCV 2023), each with its equation; all have weight one.

Throughout ŝ = S(x)/|S(x)| is the student's output, t̂ the teacher's unit image vector and ê_y the unit
text vector of class y; n is the batch.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "caption_loss",
    "contrast_loss",
    "feature_loss",
    "label_loss",
    "proximity_loss",
]


def label_loss(outputs: Tensor, texts: Tensor, labels: Tensor, temperature: float) -> Tensor:
    """L_cls = −mean log P_S(y|x), P_S(·|x) = softmax_y(⟨ŝ, ê_y⟩/τ) over the classes that train.

    outputs: float[n, d]; texts: float[k, d] unit; labels: int64[n]. Returns a scalar.
    """
    return F.cross_entropy(F.normalize(outputs, dim=-1) @ texts.T / temperature, labels)


def feature_loss(outputs: Tensor, images: Tensor) -> Tensor:
    """L_mse = mean |ŝ − t̂|² = mean (2 − 2⟨ŝ, t̂⟩), summed over dimensions.

    outputs, images: float[n, d], the latter of unit length. Returns a scalar.
    """
    return (2 - 2 * (F.normalize(outputs, dim=-1) * images).sum(dim=-1)).mean()


def contrast_loss(outputs: Tensor, images: Tensor, temperature: float) -> Tensor:
    """L_im-cst = ½[CE(⟨ŝ_i, t̂_j⟩/τ, j = i) + CE(⟨t̂_i, ŝ_j⟩/τ, j = i)]: InfoNCE both ways in the batch.

    outputs, images: float[n, d], the latter of unit length. Returns a scalar. As published, a picture
    drawn twice is its own negative.
    """
    scores = F.normalize(outputs, dim=-1) @ images.T / temperature
    own = torch.arange(len(scores), device=scores.device)
    return (F.cross_entropy(scores, own) + F.cross_entropy(scores.T, own)) / 2


def proximity_loss(
    outputs: Tensor,
    images: Tensor,
    texts: Tensor,
    labels: Tensor,
    temperature: float,
    neighbours: int,
    filter_wrong: bool = True,
) -> Tensor:
    """L_vlprox = mean over rows with 1[argmax_y P_T(y|x) = label] of KL(P_T,topk ‖ P_S,topk).

    P_T and P_S are softmax(⟨t̂ or ŝ, ê_y⟩/τ), renormalised on the teacher's `neighbours` nearest class
    texts (all classes when there are no more). Without `filter_wrong` every row counts. A batch in
    which the teacher is never right gives 0; the published code gives NaN there.

    outputs, images: float[n, d]; texts: float[k, d]; the last two of unit length. Returns a scalar.
    """
    theirs = images @ texts.T / temperature
    ours = F.normalize(outputs, dim=-1) @ texts.T / temperature
    nearest = theirs.topk(min(neighbours, theirs.shape[1]), dim=-1).indices
    teacher = torch.log_softmax(theirs.gather(1, nearest), dim=-1)
    student = torch.log_softmax(ours.gather(1, nearest), dim=-1)
    divergence = (teacher.exp() * (teacher - student)).sum(dim=-1)
    kept = theirs.argmax(dim=-1) == labels if filter_wrong else torch.ones_like(labels).bool()
    return (divergence * kept).sum() / kept.sum().clamp(min=1)


def caption_loss(
    outputs: Tensor, captions: Tensor, labels: Tensor, temperature: float = 1.0
) -> Tensor:
    """L_cap = CE(⟨ŝ_i, ĉ_j⟩/T, j = i), ĉ_j the unit text vector of picture j's caption.

    Other pictures of the same class are no negatives: their pairs are masked. Published without a
    temperature (T = 1). outputs, captions: float[n, d]; labels: int64[n]. Returns a scalar.
    """
    scores = F.normalize(outputs, dim=-1) @ captions.T / temperature
    own = torch.arange(len(scores), device=scores.device)
    alike = (labels[:, None] == labels[None, :]) & (own[:, None] != own[None, :])
    return F.cross_entropy(scores.masked_fill(alike, -torch.inf), own)
