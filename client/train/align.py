"""Stage 1: the head, fitted to convergence on fixed features of a few views of each picture."""

from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from client.train.augment import to_unit_range
from client.train.config import TrainConfig
from client.train.evaluate import BATCH, measure
from client.train.fold import Fold
from client.train.heads import HeadFit, ModuleFit, fit_gelu
from client.train.pixels import PixelRows, Pixels, PixelSelection
from client.train.sampling import domain_weights
from client.train.student import Student
from client.train.tasks import AlignmentTask, Task, read_scores
from client.train.views import FileViews, Views, count_surveys

_AnyJudge = Callable[[Callable[[Tensor], Tensor]], float]
"""Source-validation accuracy of what a head makes of features."""

__all__ = ["align_head", "survey"]


def align_head(
    student: Student,
    task: Task,
    pixels: Pixels,
    fold: Fold,
    config: TrainConfig,
    report: Callable[[int, int], None] = lambda done, total: None,
    views: Views = FileViews(),  # noqa: B008  (it has no state)
) -> HeadFit | ModuleFit:
    """Fit the head in place on `count_surveys` views of each picture: as it is, and random ones.

    pixels: every picture of the manifest. The backbone stays as it is, every domain counts alike,
    and the penalty is the one with the best mean per-class accuracy on source validation.
    """
    training, count = PixelSelection(pixels, fold.training), count_surveys(config)
    student.eval()
    found = []
    for number in range(count):
        report(number, count)
        found.append(survey(student, training, views, number, config.trial_seed))
    features, rows = (torch.cat(part) for part in zip(*found, strict=True))
    weights = torch.from_numpy(domain_weights(fold.domains[fold.training])).repeat(count) / count
    validation = PixelSelection(pixels, fold.validation)
    judge = _judge(student, task, validation, fold.labels[fold.validation])
    fit = _fit_head(student, task, features, rows, weights, judge)
    report(count, count)
    return fit


def _fit_head(
    student: Student,
    task: Task,
    features: Tensor,
    rows: Tensor,
    weights: Tensor,
    judge: _AnyJudge,
) -> HeadFit | ModuleFit:
    """The head fitted in place: one Linear by the task's own solution, two layers towards its aim."""
    if student.spec.head == "gelu" and isinstance(task, AlignmentTask):
        deep = cast("nn.Sequential", student.head)
        return fit_gelu(deep, features, task.aim(rows), weights, judge)
    head = student.linear_head

    def judge_linear(weight: Tensor, bias: Tensor) -> float:
        return judge(lambda features: features @ weight.T + bias)

    fit = task.fit_head(features, rows, weights, judge_linear)
    with torch.no_grad():
        head.weight.copy_(fit.weight)
        head.bias.copy_(fit.bias)
    return fit


@torch.no_grad()
def survey(
    student: Student, pixels: PixelRows, views: Views, number: int, seed: int
) -> tuple[Tensor, Tensor]:
    """(float32[n, dS] of view `number` of each, int64[n] the task's rows that it is taught by)."""
    features, taught = [], []
    for start in range(0, len(pixels), BATCH):
        images = to_unit_range(pixels[start : start + BATCH])
        draw = int(np.random.SeedSequence([seed, number, start]).generate_state(1)[0])
        rows = np.arange(start, start + len(images))
        shown, by = views.survey(images, rows, number, torch.Generator().manual_seed(draw))
        features.append(student.features(shown).cpu())
        taught.append(by)
    return torch.cat(features), torch.cat(taught)


def _judge(student: Student, task: Task, pixels: PixelRows, labels: NDArray[np.int64]) -> _AnyJudge:
    features, _ = survey(student, pixels, FileViews(), 0, 0)

    @torch.no_grad()
    def judge(head: Callable[[Tensor], Tensor]) -> float:
        scores = read_scores(head(features), task.classes)
        answers: NDArray[Any] = scores.argmax(dim=1).numpy()
        return measure(answers, labels).per_class

    return judge
