"""Turns a method's name into its task: the one place that knows which task teaches which method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.fold import Fold
from client.train.li_tasks import LI_BUILDERS
from client.train.losses import teacher_logits
from client.train.methods import find_method
from client.train.tasks import AlignmentTask, ClassificationTask, Task
from client.train.teacher import Teacher

__all__ = ["BUILDERS", "Builder", "Materials", "build_task", "require_teacher"]


@dataclass(frozen=True)
class Materials:
    """What a task may be made of; vectors are read from the cache when first asked for.

    Row i of every tensor belongs to picture `fold.training[i]`. Reading raises MissingVectors, and
    TrainingError when there is no teacher.
    """

    config: TrainConfig
    fold: Fold
    teacher: Teacher | None

    @cached_property
    def labels(self) -> Tensor:
        """int64[n]"""
        return torch.from_numpy(self.fold.labels[self.fold.training])

    @cached_property
    def domains(self) -> Tensor:
        """int64[n]"""
        return torch.from_numpy(self.fold.domains[self.fold.training])

    @cached_property
    def texts(self) -> Tensor:
        """float32[k, d] unit: one vector a class."""
        return torch.from_numpy(require_teacher(self.config, self.teacher).read_texts(self.fold))

    @cached_property
    def images(self) -> Tensor:
        """float32[n, d] unit: the teacher's vectors of the training pictures."""
        teacher = require_teacher(self.config, self.teacher)
        return torch.from_numpy(teacher.read_images(self.fold, self.fold.training))

    @cached_property
    def captions(self) -> Tensor:
        """float32[n, d] unit: the vectors of the training pictures' captions."""
        teacher = require_teacher(self.config, self.teacher)
        return torch.from_numpy(teacher.read_captions(self.fold))

    @property
    def class_count(self) -> int:
        """k"""
        return len(self.fold.manifest.classes)

    @property
    def logit_scale(self) -> float:
        """The teacher's published multiplier of cosines, 1/τ of its own training."""
        return require_teacher(self.config, self.teacher).document.logit_scale


Builder = Callable[[Materials], Task]


def _build_erm(given: Materials) -> Task:
    return ClassificationTask(given.labels, given.class_count, None, given.config.temperature)


def _build_kd(given: Materials) -> Task:
    logits = teacher_logits(given.images, given.texts, given.logit_scale)
    return ClassificationTask(given.labels, given.class_count, logits, given.config.temperature)


def _build_text_only(given: Materials) -> Task:
    return AlignmentTask(given.texts, given.labels, None, 0.0)


def _build_adip(given: Materials) -> Task:
    return AlignmentTask(given.texts, given.labels, given.images, given.config.image_weight)


BUILDERS: Mapping[str, Builder] = {
    "erm": _build_erm,
    "kd": _build_kd,
    "text-only": _build_text_only,
    "adip": _build_adip,
    **LI_BUILDERS,
}


def build_task(config: TrainConfig, fold: Fold, teacher: Teacher | None) -> Task:
    """The method as a task over the fold's training part. Reads the training vectors, no others.

    Raises MissingVectors, and TrainingError when the method needs a teacher and has none.
    """
    return BUILDERS[find_method(config.method).name](Materials(config, fold, teacher))


def require_teacher(config: TrainConfig, teacher: Teacher | None) -> Teacher:
    """The teacher, when there is one. Raises TrainingError otherwise."""
    if teacher is None:
        raise TrainingError(f"{config.method} needs a teacher's vectors: give --model ID")
    return teacher
