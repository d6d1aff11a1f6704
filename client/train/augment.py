"""Random crops, flips and colours, drawn per sample and done on whole batches."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from client.data.views import MAX_ASPECT, MIN_AREA
from client.train.styles import restyle

JITTER = 0.3
"""Of brightness, contrast, saturation and hue (in units of half a turn for hue)."""
GREY = 0.1
"""Share of samples that lose their colour."""
STRONG_AREA = 0.4
"""The same as MIN_AREA for strong views, which also turn and shrink the picture."""
STRONG_TURN = math.radians(20)

_TO_YIQ = torch.tensor(
    [[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]]
)

__all__ = ["augment", "augment_crops", "cut_crops", "to_unit_range"]


def to_unit_range(pixels: NDArray[np.uint8]) -> Tensor:
    """float32[n, 3, s, s] in [0, 1] of uint8[n, s, s, 3]."""
    return torch.from_numpy(pixels).permute(0, 3, 1, 2).float().div_(255)


def augment(
    images: Tensor,
    generator: torch.Generator,
    styles: float = 0.0,
    *,
    rounds: int = 1,
    strong: bool = False,
) -> Tensor:
    """A random view of each of float32[n, 3, s, s]; borders are continued, values stay in [0, 1].

    styles: share of the samples that are restyled first, in each of so many rounds; strong: also
    turned, and cropped further.
    """
    for _ in range(rounds if styles else 0):
        images = restyle(images, generator, styles)
    draws = torch.rand(10, len(images), generator=generator).to(images.device)
    grid = _crop(draws, list(images.shape), STRONG_AREA if strong else MIN_AREA)
    if strong:
        grid = _turn(grid, torch.rand(2, len(images), generator=generator).to(images.device))
    moved = F.grid_sample(images, grid, padding_mode="border", align_corners=False)
    return _recolour(moved, draws).clamp_(0, 1)


def augment_crops(images: Tensor, crops: Tensor, generator: torch.Generator) -> Tensor:
    """`augment` with float32[n, 5] crops as given: share of width and height, centre across and down
    in [−1, 1], and −1 where mirrored; only the colours are drawn."""
    draws = torch.rand(10, len(images), generator=generator).to(images.device)
    moved = cut_crops(images, crops)
    return _recolour(moved, draws).clamp_(0, 1)


def cut_crops(images: Tensor, crops: Tensor) -> Tensor:
    """The crops alone, in the pictures' own colours."""
    width, height, across, down, mirror = crops.to(images.device).unbind(dim=1)
    grid = _place(width * mirror, height, across, down, list(images.shape))
    return F.grid_sample(images, grid, padding_mode="border", align_corners=False)


def _crop(draws: Tensor, shape: list[int], least: float) -> Tensor:
    """Sampling grid of a random-resized crop with a horizontal flip in half of the samples."""
    side = torch.sqrt(least + (1 - least) * draws[0])
    aspect = torch.exp((draws[1] - 0.5) * MAX_ASPECT)
    width, height = (side * aspect).clamp(max=1), (side / aspect).clamp(max=1)
    left = (2 * draws[2] - 1) * (1 - width)
    top = (2 * draws[3] - 1) * (1 - height)
    mirror = torch.where(draws[4] < 0.5, -1.0, 1.0)
    return _place(width * mirror, height, left, top, shape)


def _place(width: Tensor, height: Tensor, left: Tensor, top: Tensor, shape: list[int]) -> Tensor:
    zero = torch.zeros_like(width)
    rows = torch.stack([width, zero, left, zero, height, top], dim=1)
    grid: Tensor = F.affine_grid(rows.view(-1, 2, 3), shape, align_corners=False)
    return grid


def _turn(grid: Tensor, draws: Tensor) -> Tensor:
    """The grid turned by up to STRONG_TURN either way, and widened by up to a fifth."""
    angle, scale = STRONG_TURN * (2 * draws[0] - 1), 1 + 0.2 * draws[1]
    cos, sin = scale * torch.cos(angle), scale * torch.sin(angle)
    matrix = torch.stack([cos, -sin, sin, cos], dim=1).view(-1, 1, 1, 2, 2)
    turned: Tensor = (matrix @ grid.unsqueeze(-1)).squeeze(-1)
    return turned


def _recolour(images: Tensor, draws: Tensor) -> Tensor:
    """Hue, saturation and greyscale as one 3×3 matrix a sample; then contrast and brightness."""
    brightness, contrast, saturation = 1 + JITTER * (2 * draws[5:8] - 1)
    turn = math.pi * JITTER * (2 * draws[8] - 1)
    saturation = torch.where(draws[9] < GREY, torch.zeros_like(saturation), saturation)
    cos, sin = saturation * torch.cos(turn), saturation * torch.sin(turn)
    zero, one = torch.zeros_like(cos), torch.ones_like(cos)
    rotation = torch.stack([one, zero, zero, zero, cos, -sin, zero, sin, cos], dim=1).view(-1, 3, 3)
    to_yiq = _TO_YIQ.to(images.device)
    matrix = torch.linalg.inv(to_yiq) @ rotation @ to_yiq
    turned = torch.matmul(matrix, images.flatten(2)).view_as(images)
    grey = turned.mean(dim=(1, 2, 3), keepdim=True)
    factor = contrast.view(-1, 1, 1, 1)
    adjusted: Tensor = (grey + (turned - grey) * factor) * brightness.view(-1, 1, 1, 1)
    return adjusted
