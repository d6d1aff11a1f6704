"""Stage 1: the head, fitted to convergence on fixed features of a few views of each picture."""

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from client.train.augment import augment, to_unit_range
from client.train.config import TrainConfig
from client.train.evaluate import BATCH, measure
from client.train.fold import Fold
from client.train.heads import HeadFit, Judge
from client.train.pixels import PixelRows, Pixels, PixelSelection
from client.train.sampling import domain_weights
from client.train.student import Student
from client.train.tasks import Task, read_scores

__all__ = ["align_head", "extract_features"]


def align_head(
    student: Student,
    task: Task,
    pixels: Pixels,
    fold: Fold,
    config: TrainConfig,
    report: Callable[[int, int], None] = lambda done, total: None,
) -> HeadFit:
    """Fit the head in place on the clean picture and `config.views` random views of each.

    pixels: every picture of the manifest. The backbone stays as it is, every domain counts alike,
    and the penalty is the one with the best mean per-class accuracy on source validation.
    """
    training, views = PixelSelection(pixels, fold.training), config.views + 1
    student.eval()
    features = []
    for view in range(views):
        report(view, views)
        features.append(extract_features(student, training, view, config.trial_seed))
    rows = torch.arange(len(training)).repeat(views)
    weights = torch.from_numpy(domain_weights(fold.domains[fold.training])).repeat(views) / views
    validation = PixelSelection(pixels, fold.validation)
    judge = _judge(student, task, validation, fold.labels[fold.validation])
    fit = task.fit_head(torch.cat(features), rows, weights, judge)
    with torch.no_grad():
        student.head.weight.copy_(fit.weight)
        student.head.bias.copy_(fit.bias)
    report(views, views)
    return fit


@torch.no_grad()
def extract_features(student: Student, pixels: PixelRows, view: int, seed: int) -> Tensor:
    """float32[n, dS] of view number `view`; view 0 is the picture as it is."""
    parts = []
    for start in range(0, len(pixels), BATCH):
        images = to_unit_range(pixels[start : start + BATCH])
        if view:
            draw = int(np.random.SeedSequence([seed, view, start]).generate_state(1)[0])
            images = augment(images, torch.Generator().manual_seed(draw))
        parts.append(student.features(images).cpu())
    return torch.cat(parts)


def _judge(student: Student, task: Task, pixels: PixelRows, labels: NDArray[np.int64]) -> Judge:
    features = extract_features(student, pixels, 0, 0)

    def judge(weight: Tensor, bias: Tensor) -> float:
        scores = read_scores(features @ weight.T + bias, task.classes)
        answers: NDArray[Any] = scores.argmax(dim=1).numpy()
        return measure(answers, labels).per_class

    return judge
