"""Stage 1: the head, fitted to convergence on fixed features of a few views of each picture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.train.augment import to_unit_range
from client.train.config import TrainConfig
from client.train.evaluate import BATCH, measure
from client.train.fold import Fold
from client.train.heads import HeadFit, Judge
from client.train.pixels import Pixels
from client.train.sampling import domain_weights
from client.train.student import Student
from client.train.tasks import Task, read_scores
from client.train.views import FileViews, Views, count_surveys

__all__ = ["align_head"]


def align_head(
    student: Student,
    task: Task,
    pixels: Pixels,
    fold: Fold,
    config: TrainConfig,
    report: Callable[[int, int], None] = lambda done, total: None,
    views: Views = FileViews(),  # noqa: B008  (it has no state)
) -> HeadFit:
    """Fit the head in place on `count_surveys` views of each picture: as it is, and random ones.

    pixels: every picture of the manifest. The backbone stays as it is, every domain counts alike,
    and the penalty is the one with the best mean per-class accuracy on source validation.
    """
    training, count = pixels[fold.training], count_surveys(config)
    student.eval()
    found = []
    for number in range(count):
        report(number, count)
        found.append(_survey(student, training, views, number, config.trial_seed))
    features, rows = (torch.cat(part) for part in zip(*found, strict=True))
    weights = torch.from_numpy(domain_weights(fold.domains[fold.training])).repeat(count) / count
    judge = _judge(student, task, pixels[fold.validation], fold.labels[fold.validation])
    fit = task.fit_head(features, rows, weights, judge)
    with torch.no_grad():
        student.head.weight.copy_(fit.weight)
        student.head.bias.copy_(fit.bias)
    report(count, count)
    return fit


@torch.no_grad()
def _survey(
    student: Student, pixels: Pixels, views: Views, number: int, seed: int
) -> tuple[Tensor, Tensor]:
    """(float32[n, dS] of view `number` of each, int64[n] the task's rows that it is taught by)."""
    features, taught = [], []
    for start in range(0, len(pixels), BATCH):
        images = to_unit_range(pixels[start : start + BATCH])
        draw = int(np.random.SeedSequence([seed, number, start]).generate_state(1)[0])
        rows = np.arange(start, start + len(images))
        shown, by = views.survey(images, rows, number, torch.Generator().manual_seed(draw))
        features.append(student.features(shown))
        taught.append(by)
    return torch.cat(features), torch.cat(taught)


def _judge(student: Student, task: Task, pixels: Pixels, labels: NDArray[np.int64]) -> Judge:
    features, _ = _survey(student, pixels, FileViews(), 0, 0)

    def judge(weight: Tensor, bias: Tensor) -> float:
        scores = read_scores(features @ weight.T + bias, task.classes)
        answers: NDArray[Any] = scores.argmax(dim=1).numpy()
        return measure(answers, labels).per_class

    return judge
