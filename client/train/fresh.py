"""The oracle: a local teacher is asked about every single view, as the published code does, unmetered.

It shows what buying each vector once gives up. Nothing of it is for sale: it needs the weights.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.train.augment import augment, to_unit_range
from client.train.building import BUILDERS, Builder, Materials, require_teacher
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.fold import Fold
from client.train.heads import HeadFit, Judge
from client.train.methods import find_method
from client.train.pixels import Pixels, decode_picture
from client.train.tasks import Losses, Task
from client.train.teacher import Teacher
from client.train.views import Rows, Shown, count_surveys
from shared.codecs import Vector
from shared.revision import split_space

Encoder = Callable[[NDArray[np.uint8]], Vector]
"""uint8[n, s, s, 3] → float32[n, d] unit."""

__all__ = ["FreshTask", "count_queries", "open_fresh"]


@dataclass(frozen=True)
class _Seen(Materials):
    """Materials whose rows are views, with what the teacher said to each just now."""

    whole: Materials
    rows: Tensor
    vectors: Tensor

    @property
    def labels(self) -> Tensor:
        return self.whole.labels[self.rows]

    @property
    def domains(self) -> Tensor:
        return self.whole.domains[self.rows]

    @property
    def queried(self) -> Tensor:
        return torch.ones(len(self.rows), dtype=torch.bool)

    @property
    def texts(self) -> Tensor:
        return self.whole.texts

    @property
    def images(self) -> Tensor:
        return self.vectors


@dataclass
class FreshTask:
    """A method and its views in one: what is shown in a step is what the teacher is asked about.

    The teacher sees the same crop and colours as the student, at its own resolution.
    """

    materials: Materials
    build: Builder
    encode: Encoder
    pixels: Pixels
    """The training pictures at the teacher's resolution, uint8[n, s, s, 3]."""
    _task: Task = field(init=False)
    _surveyed: list[tuple[Tensor, Tensor]] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        row = torch.zeros(1, dtype=torch.int64)
        self._task = self._make(row, self.materials.texts[:1])

    @property
    def head_width(self) -> int:
        return self._task.head_width

    @property
    def trains_head(self) -> bool:
        return self._task.trains_head

    @property
    def classes(self) -> Tensor | None:
        return self._task.classes

    def show(self, images: Tensor, rows: Rows, generator: torch.Generator) -> Shown:
        """A random view of each, and the teacher's word on it."""
        twin = torch.Generator()
        twin.set_state(generator.get_state())
        shown = augment(images, generator)
        beside = self._same_side(images, shown, rows, lambda own: augment(own, twin))
        self._task = self._make(torch.from_numpy(rows), self._ask(beside))
        return shown, torch.arange(len(rows))

    def survey(self, images: Tensor, rows: Rows, number: int, generator: torch.Generator) -> Shown:
        """The picture as it is, then random views; what was said to them is kept for the fit."""
        twin = torch.Generator()
        twin.set_state(generator.get_state())
        shown = augment(images, generator) if number else images
        beside = self._same_side(
            images, shown, rows, lambda own: augment(own, twin) if number else own
        )
        before = sum(len(seen) for seen, _ in self._surveyed)
        self._surveyed.append((torch.from_numpy(rows), self._ask(beside)))
        return shown, before + torch.arange(len(rows))

    def fit_head(self, features: Tensor, rows: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
        """The method's own fit over all that was surveyed."""
        seen, vectors = (torch.cat(part) for part in zip(*self._surveyed, strict=True))
        self._surveyed.clear()
        return self._make(seen, vectors).fit_head(features, rows, weights, judge)

    def loss(self, outputs: Tensor, rows: Tensor) -> Losses:
        """The method's own objective on the views last shown."""
        return self._task.loss(outputs, rows)

    def _make(self, rows: Tensor, vectors: Tensor) -> Task:
        whole = self.materials
        return self.build(_Seen(whole.config, whole.fold, whole.teacher, whole, rows, vectors))

    def _same_side(
        self, images: Tensor, shown: Tensor, rows: Rows, view: Callable[[Tensor], Tensor]
    ) -> Tensor:
        """The view at the teacher's resolution: every draw is a share of the picture's side."""
        if images.shape[-1] == self.pixels.shape[1]:
            return shown
        return view(to_unit_range(self.pixels[rows]))

    def _ask(self, views: Tensor) -> Tensor:
        levels = (views * 255).round().to(torch.uint8).permute(0, 2, 3, 1).contiguous()
        return torch.from_numpy(self.encode(levels.numpy()))


def open_fresh(config: TrainConfig, fold: Fold, teacher: Teacher | None) -> FreshTask:
    """The method of `config` taught by the local teacher `config.fresh_views`.

    Raises TrainingError when the method reads no image vectors, and when the weights are not those
    of the teacher whose class texts were bought.
    """
    method, seller = find_method(config.method), require_teacher(config, teacher)
    if not (method.reads_images and method.trains) or method.white_box:
        raise TrainingError(f"--fresh-views: {method.name} reads no bought image vectors; try adip")
    encode, side = _load(config.fresh_views, seller)
    files = [fold.manifest.file(fold.manifest.pictures[int(row)]) for row in fold.training]
    pixels = np.stack([decode_picture(file, side) for file in files])
    return FreshTask(Materials(config, fold, seller), BUILDERS[method.name], encode, pixels)


def count_queries(config: TrainConfig, fold: Fold) -> int:
    """Image queries that a run with fresh views would be billed for: every view is a new picture."""
    return count_surveys(config) * len(fold.training) + config.steps * config.batch


def _load(spec: str, seller: Teacher) -> tuple[Encoder, int]:
    from shared.openclip import ModelNotFound, Precision, load_openclip

    try:
        model = load_openclip(spec, cast("Precision", seller.document.precision))
    except ModelNotFound as error:
        raise TrainingError(f"--fresh-views: {error}") from error
    revision, space_id = split_space(seller.document.revision)
    if model.revision == revision and space_id is not None:
        raise TrainingError(
            f"--fresh-views: the class texts were bought in the private space {space_id}, and {spec} "
            "answers in everybody's: leave --fresh-views out, or buy from an account without one"
        )
    if model.revision != seller.document.revision:
        raise TrainingError(
            f"--fresh-views {spec} is revision {model.revision}, and the class texts were bought "
            f"from {seller.document.id}@{seller.document.revision}: give that model's weights"
        )
    return model.encode_images, model.preprocessing.image_size
