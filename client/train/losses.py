"""The objectives, each with its equation (VL2V-ADiP: Addepalli et al. 2024; KD: Hinton et al. 2015)."""

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["adip_loss", "kd_loss", "teacher_logits"]


def adip_loss(
    outputs: Tensor, texts: Tensor, images: Tensor | None, image_weight: float
) -> dict[str, Tensor]:
    """L = −λ·mean cos(z, I) − (1−λ)·mean cos(z, T_y), λ weighting the image term.

    outputs, texts, images: float[n, d]; the last two have unit length. Without `images` the class
    text stands alone (λ = 0).
    """
    student = F.normalize(outputs, dim=-1)
    text_cosine = (student * texts).sum(dim=-1).mean()
    if images is None:
        return {"loss": -text_cosine, "text_cosine": text_cosine}
    image_cosine = (student * images).sum(dim=-1).mean()
    loss = -image_weight * image_cosine - (1 - image_weight) * text_cosine
    return {"loss": loss, "text_cosine": text_cosine, "image_cosine": image_cosine}


def kd_loss(
    logits: Tensor, labels: Tensor, teacher: Tensor | None, temperature: float
) -> dict[str, Tensor]:
    """L = CE(f, y) + τ²·KL(softmax(t/τ) ‖ softmax(f/τ)), the divergence averaged over the batch.

    logits, teacher: float[n, k]; labels: int64[n]. Without `teacher` it is plain cross-entropy.
    The student enters the divergence as log-probabilities; the published baseline passed
    probabilities and divided by n·k, which leaves almost no gradient.
    """
    cross_entropy = F.cross_entropy(logits, labels)
    if teacher is None:
        return {"loss": cross_entropy, "cross_entropy": cross_entropy}
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
