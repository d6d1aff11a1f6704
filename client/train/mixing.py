"""Mixing inside the student: feature statistics between samples, and weights with the aligned ones."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from client.train.student import Student

SPREAD = 0.1
"""α of the Beta distribution that mixing coefficients are drawn from (MixStyle's default)."""
EARLY = 2
"""Stages of the backbone after which statistics are mixed."""

__all__ = ["blend_backbones", "mix_statistics", "swap_statistics"]


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
