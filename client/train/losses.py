"""The objectives, each with its equation (VL2V-ADiP: Addepalli et al. 2024; KD: Hinton et al. 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["adip_loss", "kd_loss", "teacher_logits"]


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
    asked: Tensor | None = None,
) -> dict[str, Tensor]:
    """L = CE(f, y) + τ²·KL(softmax(t/τ) ‖ softmax(f/τ)), the divergence averaged over the batch.

    logits, teacher: float[n, k]; labels: int64[n]. Without `teacher` it is plain cross-entropy, and
    so it is for the pictures of which bool[n] `asked` says that the teacher said nothing.
    The student enters the divergence as log-probabilities; the published baseline passed
    probabilities and divided by n·k, which leaves almost no gradient.
    """
    cross_entropy = F.cross_entropy(logits, labels)
    if teacher is None:
        return {"loss": cross_entropy, "cross_entropy": cross_entropy}
    if asked is not None:
        # The same targets as their own student: divergence and gradient are exactly zero.
        teacher = torch.where(asked[:, None], teacher, logits.detach())
    divergence = temperature**2 * F.kl_div(
        torch.log_softmax(logits / temperature, dim=-1),
        torch.log_softmax(teacher / temperature, dim=-1),
        reduction="batchmean",
        log_target=True,
    )
    loss = cross_entropy + divergence
    return {"loss": loss, "cross_entropy": cross_entropy, "divergence": divergence}


def teacher_logits(images: Tensor, texts: Tensor, logit_scale: float) -> Tensor:
    """float[n, k]: the teacher's own zero-shot logits, its published scale times the cosines."""
    return logit_scale * images @ texts.T
