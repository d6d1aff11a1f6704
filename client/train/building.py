"""Turns a method's name into its task: the one place that knows which task teaches which method."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.fold import Fold
from client.train.losses import teacher_logits
from client.train.methods import find_method
from client.train.plus import PlusTask, centre_styles, lean_texts, trust_weights
from client.train.plus_methods import IDEAS, find_switches
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


def _build_plus(given: Materials) -> Task:
    switches, images, texts = find_switches(given.config.method), given.images, given.texts
    logits = teacher_logits(images, texts, given.logit_scale)
    share = given.config.image_weight
    weights = torch.full((len(given.labels),), share)
    aims = texts
    if switches.trusts:
        weights = trust_weights(share, logits, given.labels)
    if switches.prototypes:
        aims = lean_texts(texts, images, given.labels, switches.prototypes)
    if switches.centres:
        images = centre_styles(images, given.domains)
    return PlusTask(
        texts=texts,
        aims=aims,
        labels=given.labels,
        images=images,
        image_weights=weights,
        teacher=logits,
        scale=given.logit_scale,
        temperature=given.config.temperature,
        switches=switches,
    )


_BASES: Mapping[str, Builder] = {
    "erm": _build_erm,
    "kd": _build_kd,
    "text-only": _build_text_only,
    "adip": _build_adip,
}
BUILDERS: Mapping[str, Builder] = {**_BASES} | {
    name: _build_plus if idea.base == "adip" else _BASES[idea.base] for name, idea in IDEAS.items()
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
