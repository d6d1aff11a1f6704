"""The objectives, each with its equation and source.

VL2V-ADiP: Addepalli et al. 2024; KD: Hinton et al. 2015; SimKD: Chen et al. 2022; FLYP: Goyal et al.
2023.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = [
    "adip_loss",
    "contrastive_loss",
    "feature_loss",
    "kd_loss",
    "teacher_logits",
    "text_logits",
]


def adip_loss(
    outputs: Tensor, texts: Tensor, images: Tensor | None, image_weight: float | Tensor
) -> dict[str, Tensor]:
    """L = −λ·mean cos(z, I) − (1−λ)·mean cos(z, T_y), λ weighting the image term.

    outputs, texts, images: float[n, d]; the last two have unit length. Without `images` the class
    text stands alone (λ = 0). `image_weight` is one λ, or float[n] with one for each picture.
    """
    student = F.normalize(outputs, dim=-1)
    text_cosine = (student * texts).sum(dim=-1).mean()
    if images is not None and isinstance(image_weight, Tensor):
        return _weighted_adip_loss(student, texts, images, image_weight)
    if images is None:
        return {"loss": -text_cosine, "text_cosine": text_cosine}
    image_cosine = (student * images).sum(dim=-1).mean()
    loss = -image_weight * image_cosine - (1 - image_weight) * text_cosine
    return {"loss": loss, "text_cosine": text_cosine, "image_cosine": image_cosine}


def _weighted_adip_loss(
    student: Tensor, texts: Tensor, images: Tensor, weights: Tensor
) -> dict[str, Tensor]:
    """`adip_loss` with float[n] λ; the image cosine is the mean over pictures with λ above 0."""
    text, image = (student * texts).sum(dim=-1), (student * images).sum(dim=-1)
    asked = weights > 0
    return {
        "loss": -(weights * image + (1 - weights) * text).mean(),
        "text_cosine": text.mean(),
        "image_cosine": (image * asked).sum() / asked.sum().clamp(min=1),
    }


def kd_loss(
    logits: Tensor,
    labels: Tensor,
    teacher: Tensor | None,
    temperature: float,
    weight: float = 1.0,
    asked: Tensor | None = None,
) -> dict[str, Tensor]:
    """L = CE(f, y) + α·τ²·KL(softmax(t/τ) ‖ softmax(f/τ)), the divergence averaged over the batch.

    logits, teacher: float[n, k]; labels: int64[n]; α: `weight`. Without `teacher` it is plain
    cross-entropy, and so it is for the pictures of which bool[n] `asked` says that the teacher said
    nothing.
    The student enters the divergence as log-probabilities; the published baseline passed
    probabilities and divided by n·k, which leaves almost no gradient.
    """
    cross_entropy = F.cross_entropy(logits, labels)
    if teacher is None:
        return {"loss": cross_entropy, "cross_entropy": cross_entropy}
    if asked is not None:
        # The same targets as their own student: divergence and gradient are exactly zero.
        teacher = torch.where(asked[:, None], teacher, logits.detach())
    divergence = soften_divergence(logits, teacher, temperature)
    loss = cross_entropy + weight * divergence
    return {"loss": loss, "cross_entropy": cross_entropy, "divergence": divergence}


def soften_divergence(logits: Tensor, teacher: Tensor, temperature: float) -> Tensor:
    """τ²·KL(softmax(t/τ) ‖ softmax(f/τ)), the mean over the batch; float[n, k] logits of both."""
    return temperature**2 * F.kl_div(
        torch.log_softmax(logits / temperature, dim=-1),
        torch.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )


def teacher_logits(images: Tensor, texts: Tensor, logit_scale: float) -> Tensor:
    """float[n, k]: the teacher's own zero-shot logits, its published scale times the cosines."""
    return logit_scale * images @ texts.T


def text_logits(outputs: Tensor, texts: Tensor, logit_scale: float) -> Tensor:
    """float[n, k]: the student's cosines to the class texts at the teacher's scale.

    outputs: float[n, d] of any length; texts: float[k, d] unit.
    """
    return logit_scale * F.normalize(outputs, dim=-1) @ texts.T


def feature_loss(outputs: Tensor, images: Tensor) -> dict[str, Tensor]:
    """L = ‖z − I‖², summed over dimensions, averaged over the batch (SimKD's only term).

    outputs, images: float[n, d]; the outputs are taken as they are, at their own length.
    """
    distance = (outputs - images).square().sum(dim=-1).mean()
    return {"loss": distance, "squared_distance": distance}


def contrastive_loss(
    outputs: Tensor, texts: Tensor, labels: Tensor, logit_scale: float
) -> dict[str, Tensor]:
    """L = ½(pictures find their texts + texts find their pictures) over the batch (FLYP).

    With S_ij = scale·cos(z_i, T_{y_j}) and P_ij uniform over the j with y_j = y_i:
    −½·mean_i Σ_j P_ij·(log softmax_j S_ij + log softmax_j S_ji). A batch holds a class several
    times, and each of its pictures and texts is a right answer, none a negative.
    outputs: float[n, d]; texts: float[k, d] unit; labels: int64[n].
    """
    logits = text_logits(outputs, texts[labels], logit_scale)
    same = (labels[:, None] == labels[None, :]).to(logits.dtype)
    right = same / same.sum(dim=1, keepdim=True)
    by_picture = -(right * torch.log_softmax(logits, dim=1)).sum(dim=1).mean()
    by_text = -(right * torch.log_softmax(logits.T, dim=1)).sum(dim=1).mean()
    loss = 0.5 * (by_picture + by_text)
    return {"loss": loss, "picture_to_text": by_picture, "text_to_picture": by_text}
