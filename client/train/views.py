"""How a picture is shown to the student in a step, and which of the task's rows that view is taught by."""

from dataclasses import dataclass
from typing import Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.data.views import find_crop
from client.train.augment import augment, augment_crops, cut_crops
from client.train.config import TrainConfig
from client.train.fold import Fold
from client.train.plus_methods import PLAIN, Switches, find_switches

Rows = NDArray[np.int64]
"""int64[b] positions in the fold's training part."""
Shown = tuple[Tensor, Tensor]
"""(float32[b, 3, s, s] in [0, 1], int64[b] rows of the task's tensors)."""

__all__ = ["BoughtViews", "FileViews", "Rows", "Shown", "Views", "choose_views", "count_surveys"]


class Views(Protocol):
    """Shows float32[b, 3, s, s] pictures; the randomness is the generator's alone."""

    def show(self, images: Tensor, rows: Rows, generator: torch.Generator) -> Shown:
        """A random view of each, for a step."""
        ...

    def survey(self, images: Tensor, rows: Rows, number: int, generator: torch.Generator) -> Shown:
        """View `number` of each, for Align; 0 is the plainest that there is."""
        ...


@dataclass(frozen=True)
class FileViews:
    """Any crop and colour, and any style of an idea, taught by the vector of the file itself."""

    switches: Switches = PLAIN

    def show(self, images: Tensor, rows: Rows, generator: torch.Generator) -> Shown:
        """A random crop in random colours."""
        return self._augment(images, generator), torch.from_numpy(rows)

    def survey(self, images: Tensor, rows: Rows, number: int, generator: torch.Generator) -> Shown:
        """The picture as it is, then random views of it."""
        shown = self._augment(images, generator) if number else images
        return shown, torch.from_numpy(rows)

    def _augment(self, images: Tensor, generator: torch.Generator) -> Tensor:
        drawn = self.switches
        return augment(images, generator, drawn.styles, rounds=drawn.rounds, strong=drawn.strong)


@dataclass(frozen=True)
class BoughtViews:
    """The crops whose vectors were bought, each taught by its own; only colours are random."""

    crops: Tensor
    """float32[v, n, 5] as `augment_crops` takes them: view × training picture."""

    def show(self, images: Tensor, rows: Rows, generator: torch.Generator) -> Shown:
        """One of the bought crops of each, drawn uniformly, in random colours."""
        picked, taught = torch.from_numpy(rows), self._draw(len(rows), generator)
        shown = augment_crops(images, self.crops[taught, picked], generator)
        return shown, taught * self.crops.shape[1] + picked

    def survey(self, images: Tensor, rows: Rows, number: int, generator: torch.Generator) -> Shown:
        """Each bought crop in its own colours once, then again in random ones."""
        picked, view = torch.from_numpy(rows), number % len(self.crops)
        crops = self.crops[view, picked]
        plain = number < len(self.crops)
        shown = cut_crops(images, crops) if plain else augment_crops(images, crops, generator)
        return shown, view * self.crops.shape[1] + picked

    def _draw(self, count: int, generator: torch.Generator) -> Tensor:
        return torch.randint(len(self.crops), (count,), generator=generator)


def choose_views(fold: Fold, method: str = "adip") -> Views:
    """The views that the fold's vectors belong to, restyled where the method does that.

    Bought crops are shown as they were sold.
    """
    if not fold.bought_views:
        return FileViews(find_switches(method))
    return BoughtViews(torch.stack([_crops(fold, number) for number in range(fold.bought_views)]))


def count_surveys(config: TrainConfig) -> int:
    """Views of each picture that Align is solved on: the plain one and `align_views` more, and no
    fewer than were bought."""
    return max(config.align_views + 1, config.bought_views)


def _crops(fold: Fold, number: int) -> Tensor:
    """float32[n, 5]: view `number` of each training picture."""
    crops = [find_crop(fold.manifest.pictures[int(row)].digest, number) for row in fold.training]
    rows = [
        (
            crop.width,
            crop.height,
            2 * crop.left + crop.width - 1,
            2 * crop.top + crop.height - 1,
            -1.0 if crop.mirrored else 1.0,
        )
        for crop in crops
    ]
    return torch.tensor(rows, dtype=torch.float32)
