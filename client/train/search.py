"""Align on the loss itself: full-batch L-BFGS on stored features, stopped where validation is best.

The ridge solution of `heads.py` minimises squared error, not the cosine loss; on small icons it ends
some points below the published optimiser on source validation. This search minimises what the
published stage minimises, in the same minute.
"""

import copy
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from client.train.align import survey
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.evaluate import measure
from client.train.fold import Fold
from client.train.pixels import Pixels, PixelSelection
from client.train.sampling import domain_weights
from client.train.student import Student
from client.train.tasks import Task, read_scores
from client.train.views import FileViews, Views, count_surveys

LOOKS = 10
"""Times that source validation is looked at."""
ITERATIONS = 10
"""L-BFGS steps between two looks."""

__all__ = ["SearchFit", "search_head"]


@dataclass(frozen=True, slots=True)
class SearchFit:
    """Where the search stopped, and how good the head is there."""

    iterations: int
    score: float
    """Mean per-class accuracy on source validation."""


def search_head(
    student: Student,
    task: Task,
    pixels: Pixels,
    fold: Fold,
    config: TrainConfig,
    report: Callable[[int, int], None] = lambda done, total: None,
    views: Views = FileViews(),  # noqa: B008  (it has no state)
) -> SearchFit:
    """Fit a linear head in place to the task's own loss, each source domain counting alike.

    It sees the same views of each picture as `align_head`, begins at the student's head,
    and keeps the look with the best accuracy, of equals the first. Raises TrainingError for a head
    of several layers.
    """
    if not isinstance(student.head, nn.Linear):
        raise TrainingError("--align search fits one linear layer: give --align exact or steps")
    count = count_surveys(config)
    total = count + LOOKS
    student.eval()
    stored = _store_features(student, pixels, fold, config, lambda view: report(view, total), views)
    seen, _ = survey(student, PixelSelection(pixels, fold.validation), FileViews(), 0, 0)
    labels, best = fold.labels[fold.validation], SearchFit(0, -1.0)
    head = copy.deepcopy(student.head).cpu().requires_grad_(True)
    for look, plain in enumerate(_descend(head, task, stored)):
        report(count + look, total)
        answers = read_scores(plain(seen), task.classes).argmax(dim=1).numpy()
        score = measure(np.asarray(answers, dtype=np.int64), labels).per_class
        if score > best.score:
            best = SearchFit(ITERATIONS * (look + 1), score)
            student.head.load_state_dict(plain.state_dict())
    report(total, total)
    return best


@dataclass(frozen=True)
class Stored:
    """Standardised features of several views: searching those takes far fewer steps."""

    features: Tensor
    """float32[n, dS]"""
    rows: Tensor
    """int64[n]: positions in the training part."""
    domains: Tensor
    """int64[n]"""
    centre: Tensor
    spread: Tensor

    def undo(self, head: nn.Linear) -> nn.Linear:
        """A head of these features as one of features as they come."""
        plain = copy.deepcopy(head).requires_grad_(False)
        plain.weight.div_(self.spread)
        plain.bias.sub_(plain.weight @ self.centre)
        return plain


def _store_features(
    student: Student,
    pixels: Pixels,
    fold: Fold,
    config: TrainConfig,
    report: Callable[[int], None],
    views: Views,
) -> Stored:
    training, count, parts = PixelSelection(pixels, fold.training), count_surveys(config), []
    for number in range(count):
        report(number)
        parts.append(survey(student, training, views, number, config.trial_seed))
    features, rows = (torch.cat(part) for part in zip(*parts, strict=True))
    domains = fold.domains[fold.training]
    shares = torch.from_numpy(domain_weights(domains)).repeat(count) / count
    centre = shares @ features
    spread = (shares @ (features - centre) ** 2).sqrt().clamp(min=1e-6)
    standard = (features - centre) / spread
    return Stored(standard, rows, torch.from_numpy(domains).repeat(count), centre, spread)


def _descend(head: nn.Linear, task: Task, stored: Stored) -> Iterator[nn.Linear]:
    """The head after every few steps down the loss, as a head of features as they come."""
    groups = [torch.nonzero(stored.domains == d).flatten() for d in torch.unique(stored.domains)]
    parts = [(stored.features[group], stored.rows[group]) for group in groups]
    search = torch.optim.LBFGS(
        head.parameters(), max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        losses = [task.loss(head(features), rows)["loss"] for features, rows in parts]
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    for _ in range(LOOKS):
        search.step(closure)  # type: ignore[no-untyped-call]
        yield stored.undo(head)
