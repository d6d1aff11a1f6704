"""Mixing: pictures of a batch, their feature statistics, and weights with the aligned ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from timm.layers import DropPath
from torch import Tensor, nn

from client.train.student import Student

SPREAD = 0.1
"""α of the Beta distribution that mixing coefficients are drawn from (MixStyle's default)."""
EARLY = 2
"""Stages of the backbone after which statistics are mixed."""

__all__ = [
    "Blend",
    "blend_backbones",
    "blend_pictures",
    "drop_blocks",
    "mix_statistics",
    "swap_statistics",
]


@dataclass(frozen=True, slots=True)
class Blend:
    """A batch whose every picture has something of another one."""

    images: Tensor
    """float32[n, 3, s, s]"""
    partners: Tensor
    """int64[n]: which sample was blended in."""
    own: float
    """Share of the sample's own picture, in [0.5, 1]."""


def blend_pictures(images: Tensor, generator: torch.Generator, kind: str) -> Blend:
    """Mixup (Zhang et al. 2018) or CutMix (Yun et al. 2019) of half of the batches.

    One share, drawn uniformly, serves a batch; the other half of the batches stay as they are.
    """
    toss, share, x, y = torch.rand(4, generator=generator).tolist()
    partners = torch.randperm(len(images), generator=generator)
    if toss < 0.5:
        return Blend(images, partners, 1.0)
    own = 0.5 + 0.5 * share
    if kind == "mixup":
        return Blend(own * images + (1 - own) * images[partners], partners, own)
    side = images.shape[-1]
    edge = round(side * (1 - own) ** 0.5)
    top, left = int(y * (side - edge + 1)), int(x * (side - edge + 1))
    pasted = images.clone()
    window = (..., slice(top, top + edge), slice(left, left + edge))
    pasted[window] = images[partners][window]
    return Blend(pasted, partners, 1 - edge**2 / side**2)


def drop_blocks(student: Student, rate: float) -> None:
    """Stochastic depth (Huang et al. 2016) on residual blocks, growing linearly to `rate`.

    Only blocks with timm's `drop_path` have it; other students stay as they are.
    """
    blocks = [m for m in student.backbone.modules() if hasattr(m, "drop_path")]
    for index, block in enumerate(blocks):
        block.drop_path = DropPath(rate * (index + 1) / len(blocks))


@contextmanager
def mix_statistics(student: Student, share: float) -> Iterator[None]:
    """MixStyle (Zhou et al. 2021) after the first stages, in about `share` of the passes.

    Channel means and deviations stand for style, so mixing them between samples makes new styles.
    Draws come from torch's global generator, as dropout's do. Only a backbone with `blocks` (or
    `stages`) has stages to mix after.
    """
    if not share:
        yield
        return
    stages = getattr(student.backbone, "blocks", None) or getattr(student.backbone, "stages", None)

    def hook(_module: nn.Module, _inputs: Any, output: Tensor) -> Tensor:
        return swap_statistics(output) if torch.rand(()) < share else output

    handles = [stage.register_forward_hook(hook) for stage in list(stages or ())[:EARLY]]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def swap_statistics(features: Tensor) -> Tensor:
    """float[n, c, h, w] whose channel means and deviations lean towards another sample's."""
    mean = features.mean(dim=(2, 3), keepdim=True).detach()
    spread = (features.var(dim=(2, 3), keepdim=True) + 1e-6).sqrt().detach()
    count = len(features)
    other = torch.randperm(count)
    own = torch.distributions.Beta(SPREAD, SPREAD).sample((count,)).view(-1, 1, 1, 1)
    mixed_mean = own * mean + (1 - own) * mean[other]
    mixed_spread = own * spread + (1 - own) * spread[other]
    return (features - mean) / spread * mixed_spread + mixed_mean


@torch.no_grad()
def blend_backbones(student: Student, aligned: Student, kept: float) -> None:
    """The student's backbone ← kept·own + (1−kept)·the aligned one's (WiSE-FT); the head stays."""
    theirs = aligned.backbone.state_dict()
    for name, value in student.backbone.state_dict().items():
        if value.is_floating_point():
            value.lerp_(theirs[name], 1 - kept)
