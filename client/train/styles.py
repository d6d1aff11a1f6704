"""Drawing styles made up on the fly: edges, silhouettes, inks and shades that no source domain has.

A picture keeps its shapes and loses its manner, so that a student cannot lean on the manner. Every
draw is a sample's own, and a batch is restyled a style at a time.
"""

import torch
import torch.nn.functional as F
from torch import Tensor

INK = 0.12
"""Distance from the background, in [0, 1], at which a pixel counts as drawn."""
DRAWS = 10
"""Uniform numbers that a sample's style is made of."""

__all__ = ["STYLES", "restyle"]


def restyle(images: Tensor, generator: torch.Generator, share: float) -> Tensor:
    """float32[n, 3, s, s] in [0, 1]: about `share` of the samples in a style drawn at random."""
    draws = torch.rand(DRAWS, len(images), generator=generator).to(images.device)
    styled = images.clone()
    kinds = (draws[1] * len(STYLES)).long().clamp(max=len(STYLES) - 1)
    for kind, style in enumerate(STYLES.values()):
        rows = torch.nonzero((draws[0] < share) & (kinds == kind)).flatten()
        if len(rows):
            styled[rows] = style(images[rows], draws[2:, rows]).clamp_(0, 1)
    return styled


def _draw_edges(images: Tensor, draws: Tensor) -> Tensor:
    """Lines where colours meet, in a drawn ink on a drawn paper."""
    padded = F.pad(images, (1, 1, 1, 1), mode="replicate")
    high, low = F.max_pool2d(padded, 3, 1), -F.max_pool2d(-padded, 3, 1)
    edges = (high - low).amax(dim=1, keepdim=True)
    thick = F.max_pool2d(edges, 3, 1, padding=1)
    mask = torch.where(draws[0].view(-1, 1, 1, 1) < 0.5, thick, edges)
    return _paint(_sharpen(mask), draws)


def _draw_solid(images: Tensor, draws: Tensor) -> Tensor:
    """The dark parts of what is drawn as one silhouette: light parts inside stay paper."""
    grey = _grey(images)
    dark = (_background(images).mean(dim=1, keepdim=True) - grey).abs()
    return _paint(_sharpen(dark - 0.4 * draws[0].view(-1, 1, 1, 1)), draws)


def _draw_mask(images: Tensor, draws: Tensor) -> Tensor:
    """All that is drawn as one silhouette, whatever its colours."""
    return _paint(_sharpen(_distance(images)), draws)


def _fill(images: Tensor, draws: Tensor) -> Tensor:
    """The silhouette without holes, or a drawing whose empty places get a colour.

    A pixel with ink on all four sides of it is inside.
    """
    mask = (_distance(images) > INK).float()
    sides = [
        mask.cummax(dim=2).values,
        mask.cummax(dim=3).values,
        mask.flip(2).cummax(dim=2).values.flip(2),
        mask.flip(3).cummax(dim=3).values.flip(3),
    ]
    inside = torch.stack(sides).amin(dim=0)
    silhouette = _paint(inside, draws)
    colour, kept = draws[1:4].T.view(-1, 3, 1, 1), _distance(images)
    drawing = (images * kept + colour * (1 - kept)) * inside + images * (1 - inside)
    return torch.where(draws[0].view(-1, 1, 1, 1) < 0.5, drawing, silhouette)


def _tint(images: Tensor, draws: Tensor) -> Tensor:
    """Grey levels mapped to the way from one colour to another."""
    return _paint(1 - _grey(images), draws)


def _invert(images: Tensor, draws: Tensor) -> Tensor:
    """The negative; half of them without colour."""
    plain = torch.where(draws[0].view(-1, 1, 1, 1) < 0.5, _grey(images).expand_as(images), images)
    return 1 - plain


def _shade(images: Tensor, draws: Tensor) -> Tensor:
    """Light from a side on what is drawn; the paper stays as it is."""
    side = images.shape[-1]
    ramp = torch.linspace(-1, 1, side, device=images.device)
    angle = 2 * torch.pi * draws[0]
    light = torch.cos(angle).view(-1, 1, 1, 1) * ramp.view(1, 1, 1, -1) + torch.sin(angle).view(
        -1, 1, 1, 1
    ) * ramp.view(1, 1, -1, 1)
    lit = images + 0.6 * light * (_distance(images) > INK).float()
    colour = draws[2:5].T.view(-1, 3, 1, 1)
    weight = 0.5 * draws[1].view(-1, 1, 1, 1) * (_distance(images) > INK).float()
    return lit * (1 - weight) + colour * weight


def _permute(images: Tensor, draws: Tensor) -> Tensor:
    """Colour channels in another order."""
    order = draws[:3].argsort(dim=0).T
    return images.gather(1, order.view(-1, 3, 1, 1).expand_as(images))


STYLES = {
    "edges": _draw_edges,
    "solid": _draw_solid,
    "mask": _draw_mask,
    "fill": _fill,
    "tint": _tint,
    "invert": _invert,
    "shade": _shade,
    "permute": _permute,
}
"""Style → what draws it: (float[n, 3, s, s], float[8, n] uniform draws) → float[n, 3, s, s]."""


def _paint(mask: Tensor, draws: Tensor) -> Tensor:
    """Ink where mask float[n, 1, s, s] is one, paper where it is nought; half in black on white."""
    ink, paper = 0.6 * draws[1:4].T.view(-1, 3, 1, 1), 1 - 0.4 * draws[4:7].T.view(-1, 3, 1, 1)
    plain = (draws[7] < 0.5).view(-1, 1, 1, 1)
    ink = torch.where(plain, torch.full_like(ink, 0.13), ink)
    paper = torch.where(plain, torch.ones_like(paper), paper)
    return mask * ink + (1 - mask) * paper


def _sharpen(mask: Tensor) -> Tensor:
    """Contrast about the ink threshold, with an edge that stays smooth."""
    return ((mask - INK) * 4 + 0.5).clamp(0, 1)


def _distance(images: Tensor) -> Tensor:
    """float[n, 1, s, s]: how far each pixel is from the background, the largest of its channels."""
    return (images - _background(images)).abs().amax(dim=1, keepdim=True)


def _background(images: Tensor) -> Tensor:
    """float[n, 3, 1, 1]: the border's median colour."""
    border = torch.cat(
        [images[:, :, 0], images[:, :, -1], images[:, :, :, 0], images[:, :, :, -1]], dim=2
    )
    return border.median(dim=2).values[:, :, None, None]


def _grey(images: Tensor) -> Tensor:
    weights = images.new_tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)
    return (images * weights).sum(dim=1, keepdim=True)
