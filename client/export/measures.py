"""How large and how fast a model is on this machine."""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

WARMUP = 5
REPEATS = 30

__all__ = ["REPEATS", "Size", "measure_student", "measure_teacher"]


@dataclass(frozen=True, slots=True)
class Size:
    """A model's weight and speed."""

    parameters: int
    megabytes: float
    """10⁶ bytes, as 32-bit numbers, buffers included."""
    milliseconds: float
    """For one picture, alone, from pixels to answer; the median."""


def measure_student(student: nn.Module, side: int) -> Size:
    """A student that takes float[1, 3, side, side]."""
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return _measure(student, lambda: student(picture))


def measure_teacher(spec: str) -> Size:
    """The image tower of an open_clip model on this machine, named as `vl2v-vendor serve` names it.

    Raises ModelNotFound.
    """
    from shared.openclip import load_openclip

    model = load_openclip(spec)
    tower: Any = model.model.visual
    size = tower.image_size
    side = int(size[0] if isinstance(size, tuple | list) else size)
    picture = torch.rand(1, 3, side, side, generator=torch.Generator().manual_seed(0))
    return _measure(tower, lambda: tower(picture))


@torch.no_grad()
def _measure(model: nn.Module, answer: Callable[[], object]) -> Size:
    model.eval()
    times = []
    for repeat in range(WARMUP + REPEATS):
        began = time.perf_counter()
        answer()
        if repeat >= WARMUP:
            times.append(time.perf_counter() - began)
    tensors = model.state_dict().values()
    return Size(
        parameters=sum(p.numel() for p in model.parameters()),
        megabytes=sum(4 * t.numel() for t in tensors if t.is_floating_point()) / 1e6,
        milliseconds=1000 * statistics.median(times),
    )
