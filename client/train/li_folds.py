"""Which classes a run learns from and which it is tested on: one class split of a data folder."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from client.data.class_split import ClassSplit, draw_shots, keep_pictures, split_classes
from client.data.manifest import DataError, Manifest
from client.data.splits import Split
from client.train.errors import TrainingError
from client.train.fold import Fold, Rows

__all__ = ["ClassFold", "make_class_fold"]


@dataclass(frozen=True)
class ClassFold:
    """One class split with some shots; rows are places in the whole manifest."""

    manifest: Manifest
    """Everything, seen and unseen."""
    split: Split
    classes: ClassSplit
    number: int
    """Which class split."""
    shots: tuple[int, ...] = ()
    """Pictures of unseen classes that are learnt from after all; their classes then train too."""

    @cached_property
    def rows(self) -> Rows:
        """What exists for the training: pictures of the seen classes, and the shots."""
        seen = [i for i, p in enumerate(self.manifest.pictures) if p.label in self.classes.seen]
        return np.array(sorted({*seen, *self.shots}), dtype=np.int64)

    @cached_property
    def training(self) -> Fold:
        """The fold of the training run: a data folder in which unseen pictures do not exist.

        Without shots nor do the unseen classes, so neither their texts nor their vectors are read.
        """
        names = self.manifest.classes if self.shots else self.classes.seen
        return Fold(*keep_pictures(self.manifest, self.split, self.rows.tolist(), names), ())

    @cached_property
    def tested(self) -> Rows:
        """Every picture of the unseen classes, less the drawings that shots were taken of."""
        learnt = {self.manifest.pictures[i].group for i in self.shots}
        return np.array(
            [
                i
                for i, picture in enumerate(self.manifest.pictures)
                if picture.label in self.classes.unseen and picture.group not in learnt
            ],
            dtype=np.int64,
        )

    @cached_property
    def learnt(self) -> Rows:
        """The training pictures of the seen classes, on which imitation is measured too."""
        return np.array(
            [
                i
                for i in self.split.training
                if self.manifest.pictures[i].label in self.classes.seen
            ],
            dtype=np.int64,
        )

    @property
    def whole(self) -> Fold:
        """The fold that knows every class, to read class texts and vectors for testing."""
        return Fold(self.manifest, self.split, ())

    def labels(self, rows: Rows) -> NDArray[np.int64]:
        """int64[len(rows)] places in `manifest.classes`."""
        return self.whole.labels[rows]

    def columns(self, names: Sequence[str]) -> NDArray[np.int64]:
        """int64[len(names)]: where these classes are in `manifest.classes`."""
        return np.array([self.manifest.classes.index(name) for name in names], dtype=np.int64)


def make_class_fold(
    manifest: Manifest, split: Split, number: int, shots: int = 0, *, seed: int = 0
) -> ClassFold:
    """Class split `number` with `shots` pictures of each unseen class, drawn under the trial's seed.

    Raises DataError for too few classes and for an unseen class that shots use up, TrainingError
    for a domain without a validation picture of the seen classes.
    """
    names = sorted({picture.label for picture in manifest.pictures})
    manifest = replace(manifest, classes=tuple(names))
    classes = split_classes(names, seed=number)
    drawn = draw_shots(manifest, split, classes.unseen, shots, seed=seed) if shots else ()
    fold = ClassFold(manifest, split, classes, number, drawn)
    _require_pictures(fold, shots)
    return fold


def _require_pictures(fold: ClassFold, shots: int) -> None:
    training = fold.training
    for domain in training.manifest.domains:
        for part, name in (("in", "training"), ("out", "validation")):
            if not len(training.part(domain, part)):
                raise TrainingError(
                    f"domain {domain} has no {name} picture of the seen classes of class split "
                    f"{fold.number}: add pictures, or name other domains with --domains"
                )
    left = {fold.manifest.pictures[i].label for i in fold.tested}
    for name in fold.classes.unseen:
        if name not in left:
            raise DataError(
                f"class {name} has no drawing left to test on after {shots} shots: give a smaller "
                "--class-shots, or add pictures"
            )
