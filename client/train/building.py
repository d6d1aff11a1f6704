"""Turns a method's name into its task and its student: the one place that knows which teaches which."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.fold import Fold
from client.train.li_tasks import LI_BUILDERS
from client.train.losses import teacher_logits
from client.train.methods import find_method
from client.train.plus import PlusTask, centre_styles, lean_texts, trust_weights
from client.train.plus_methods import IDEAS, find_switches
from client.train.querying import read_targets, stored_views
from client.train.rivals import ContrastiveTask, FeatureTask, TextHeadTask
from client.train.scale import find_scale
from client.train.student import Student, StudentSpec, build_student
from client.train.tasks import AlignmentTask, ClassificationTask, Task
from client.train.teacher import Teacher
from client.train.whitebox import copy_tower

__all__ = ["BUILDERS", "Builder", "Materials", "build_task", "make_student", "require_teacher"]


@dataclass(frozen=True)
class Materials:
    """What a task may be made of; vectors are read from the cache when first asked for.

    Row i of every tensor belongs to picture `fold.training[i]`; of bought views there is one such
    block of rows after another. Reading raises MissingVectors, and TrainingError when there is no
    teacher.
    """

    config: TrainConfig
    fold: Fold
    teacher: Teacher | None

    @cached_property
    def labels(self) -> Tensor:
        """int64[n]; -1 where the fold lends a picture without its label."""
        fold = self.fold
        known = np.isin(fold.training, fold.labelled)
        return self._repeat(np.where(known, fold.labels[fold.training], -1))

    @cached_property
    def domains(self) -> Tensor:
        """int64[n]"""
        return self._repeat(self.fold.domains[self.fold.training])

    @cached_property
    def queried(self) -> Tensor:
        """bool[n]: whose image vectors may be read; the others' rows of `images` are zero."""
        return self._repeat(np.isin(self.fold.training, self.fold.queried))

    @property
    def asked(self) -> Tensor | None:
        """`queried` where some are not, None where all are."""
        return None if bool(self.queried.all()) else self.queried

    @cached_property
    def texts(self) -> Tensor:
        """float32[k, d] unit: one vector a class."""
        return torch.from_numpy(require_teacher(self.config, self.teacher).read_texts(self.fold))

    @cached_property
    def images(self) -> Tensor:
        """float32[n, d] unit: the teacher's vectors of the training pictures."""
        teacher = require_teacher(self.config, self.teacher)
        return torch.from_numpy(read_targets(teacher, self.fold))

    @cached_property
    def captions(self) -> Tensor:
        """float32[n, d] unit: the vectors of the training pictures' captions."""
        teacher = require_teacher(self.config, self.teacher)
        return torch.from_numpy(teacher.read_captions(self.fold))

    @property
    def class_count(self) -> int:
        """k"""
        return len(self.fold.manifest.classes)

    @cached_property
    def logit_scale(self) -> float:
        """The teacher's multiplier of cosines, 1/τ of its own training."""
        return find_scale(require_teacher(self.config, self.teacher), self.fold)

    def _repeat(self, values: NDArray[Any]) -> Tensor:
        return torch.from_numpy(np.tile(values, len(stored_views(self.fold))))


Builder = Callable[[Materials], Task]


def _build_labels(given: Materials) -> Task:
    return ClassificationTask(given.labels, given.class_count, None, given.config.temperature)


def _build_kd(given: Materials) -> Task:
    return ClassificationTask(
        given.labels,
        given.class_count,
        teacher_logits(given.images, given.texts, given.logit_scale),
        given.config.temperature,
        given.config.kd_weight,
        asked=given.asked,
    )


def _build_kd_text(given: Materials) -> Task:
    return TextHeadTask(
        given.texts,
        given.labels,
        given.logit_scale,
        teacher_logits(given.images, given.texts, given.logit_scale),
        given.config.temperature,
        given.config.kd_weight,
    )


def _build_text_labels(given: Materials) -> Task:
    return TextHeadTask(given.texts, given.labels, given.logit_scale)


def _build_features(given: Materials) -> Task:
    return FeatureTask(given.texts, given.images)


def _build_contrast(given: Materials) -> Task:
    return ContrastiveTask(given.texts, given.labels, given.logit_scale)


def _build_text_only(given: Materials) -> Task:
    return AlignmentTask(given.texts, given.labels, None, 0.0)


def _build_feature_only(given: Materials) -> Task:
    return AlignmentTask(given.texts, given.labels, given.images, 1.0, trains_head=True)


def _build_adip(given: Materials) -> Task:
    weight = given.config.image_weight
    return AlignmentTask(given.texts, given.labels, given.images, weight, asked=given.asked)


def _build_adip_together(given: Materials) -> Task:
    weight = given.config.image_weight
    return AlignmentTask(given.texts, given.labels, given.images, weight, trains_head=True)


def _build_plus(given: Materials) -> Task:
    switches, images, texts = find_switches(given.config.method), given.images, given.texts
    logits = teacher_logits(images, texts, given.logit_scale)
    share = given.config.image_weight
    weights = share * given.queried.float()
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
    "linear-probe": _build_labels,
    "erm": _build_labels,
    "lp-ft": _build_labels,
    "text-only": _build_text_only,
    "feature-only": _build_feature_only,
    "one-stage": _build_adip_together,
    "kd": _build_kd,
    "kd-text": _build_kd_text,
    "simkd": _build_features,
    "align-only": _build_adip,
    "adip": _build_adip,
    "adip-head": _build_adip_together,
    "adip-gelu": _build_adip,
    "sd": _build_adip,
    "wise-ft": _build_text_labels,
    "flyp": _build_contrast,
    "lp-ft-clip": _build_labels,
    **LI_BUILDERS,
}
BUILDERS: Mapping[str, Builder] = {**_BASES} | {
    name: _build_plus if idea.base == "adip" else _BASES[idea.base] for name, idea in IDEAS.items()
}


def build_task(config: TrainConfig, fold: Fold, teacher: Teacher | None) -> Task:
    """The method as a task over the fold's training part. Reads the training vectors, no others.

    Raises MissingVectors, and TrainingError when the method needs a teacher and has none.
    """
    return BUILDERS[find_method(config.method).name](Materials(config, fold, teacher))


def make_student(
    config: TrainConfig, head_width: int, *, weights: str | None = None
) -> tuple[Student, str]:
    """The method's student as it starts, and where its weights come from (see `build_student`).

    weights: instead of the config's. A white-box student is a copy of `config.teacher_weights`.
    """
    method = find_method(config.method)
    if method.white_box:
        student = copy_tower(config, method.head, head_width, seed=config.trial_seed)
        return student, config.teacher_weights
    spec = StudentSpec(config.student, config.image_size, head_width, method.head)
    return build_student(spec, weights=weights or config.weights, seed=config.trial_seed)


def require_teacher(config: TrainConfig, teacher: Teacher | None) -> Teacher:
    """The teacher, when there is one. Raises TrainingError otherwise."""
    if teacher is None:
        raise TrainingError(f"{config.method} needs a teacher's vectors: give --model ID")
    return teacher
