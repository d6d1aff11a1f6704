"""The methods of Li et al. (ICCV 2023) as tasks: backbone and one Linear head are trained together."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from client.train.heads import HeadFit, Judge, fit_ridge
from client.train.li_losses import (
    caption_loss,
    contrast_loss,
    feature_loss,
    label_loss,
    proximity_loss,
)
from client.train.tasks import TextReading

if TYPE_CHECKING:
    from client.train.building import Materials

__all__ = ["LI_BUILDERS", "LiTask"]


@dataclass(frozen=True)
class LiTask(TextReading):
    """L = L_cls + one of each term that has its vectors: L_mse, L_im-cst, L_vlprox, L_cap."""

    labels: Tensor
    """int64[n]"""
    images: Tensor | None = None
    """float[n, d] unit; None: L_cls alone."""
    captions: Tensor | None = None
    """float[n, d] unit; None: no L_cap."""
    contrast: bool = False
    """Whether L_im-cst counts."""
    proximity: bool = False
    """Whether L_vlprox counts."""
    temperature: float = 0.07
    """τ of L_cls, L_im-cst and L_vlprox."""
    neighbours: int = 256
    filter_wrong: bool = True
    caption_temperature: float = 1.0
    trains_head: bool = True

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """For a fitted start, which the paper has not: ridge towards t̂ + ê_y, or ê_y alone."""
        aims = self.texts[self.labels[rows]]
        if self.images is not None:
            aims = (aims + self.images[rows]) / 2
        return fit_ridge(features, aims, weights, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> dict[str, Tensor]:
        """The sum and its terms; outputs: float[n, head_width]."""
        labels = self.labels[rows]
        terms = {"cls": label_loss(outputs, self.texts, labels, self.temperature)}
        if self.images is not None:
            terms |= self._image_terms(outputs, self.images[rows], labels)
        if self.captions is not None:
            captions = self.captions[rows]
            terms["cap"] = caption_loss(outputs, captions, labels, self.caption_temperature)
        return {"loss": torch.stack(list(terms.values())).sum(), **terms}

    def _image_terms(self, outputs: Tensor, images: Tensor, labels: Tensor) -> dict[str, Tensor]:
        terms = {"mse": feature_loss(outputs, images)}
        if self.contrast:
            terms["im_cst"] = contrast_loss(outputs, images, self.temperature)
        if self.proximity:
            terms["vlprox"] = proximity_loss(
                outputs,
                images,
                self.texts,
                labels,
                self.temperature,
                self.neighbours,
                self.filter_wrong,
            )
        return terms


def _build(
    given: "Materials", *, images: bool, contrast: bool = False, proximity: bool = False
) -> LiTask:
    config = given.config
    return LiTask(
        given.texts,
        given.labels,
        given.images if images else None,
        contrast=contrast,
        proximity=proximity,
        temperature=config.li_temperature,
        neighbours=config.li_neighbours,
        filter_wrong=config.li_filter,
        caption_temperature=config.caption_temperature,
    )


def _build_naive(given: "Materials") -> LiTask:
    return _build(given, images=False)


def _build_mse(given: "Materials") -> LiTask:
    return _build(given, images=True)


def _build_contrast(given: "Materials") -> LiTask:
    return _build(given, images=True, contrast=True)


def _build_whole(given: "Materials") -> LiTask:
    return _build(given, images=True, contrast=True, proximity=True)


def _build_captioned(given: "Materials") -> LiTask:
    return replace(_build_whole(given), captions=given.captions)


LI_BUILDERS: Mapping[str, Callable[["Materials"], LiTask]] = {
    "li-naive": _build_naive,
    "li-mse": _build_mse,
    "li-cst": _build_contrast,
    "li": _build_whole,
    "li-cap": _build_captioned,
}
