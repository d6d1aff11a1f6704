"""Align on the loss itself: full-batch L-BFGS on stored features, stopped where validation is best.

The ridge solution of `heads.py` minimises squared error, not the cosine loss; on small icons it ends
some points below the published optimiser on source validation. This search minimises what the
published stage minimises, in the same minute.
"""

import copy
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn

from client.train.align import extract_features
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.evaluate import measure
from client.train.fold import Fold
from client.train.pixels import Pixels, PixelSelection
from client.train.sampling import domain_weights
from client.train.student import Student
from client.train.tasks import Task, read_scores

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
) -> SearchFit:
    """Fit a linear head in place to the task's own loss, each source domain counting alike.

    It sees the clean picture and `config.views` random views of each, begins at the student's head,
    and keeps the look with the best accuracy, of equals the first. Raises TrainingError for a head
    of several layers.
    """
    if not isinstance(student.head, nn.Linear):
        raise TrainingError("--align search fits one linear layer: give --align exact or steps")
    training, views = PixelSelection(pixels, fold.training), config.views + 1
    total = views + LOOKS
    student.eval()
    parts = []
    for view in range(views):
        report(view, total)
        parts.append(extract_features(student, training, view, config.trial_seed))
    shares = torch.from_numpy(domain_weights(fold.domains[fold.training])).repeat(views) / views
    scale = Scale.of(torch.cat(parts), shares)
    rows = torch.arange(len(training)).repeat(views)
    domains = torch.from_numpy(fold.domains[fold.training]).repeat(views)
    groups = [torch.nonzero(domains == d).flatten() for d in torch.unique(domains)]
    standard = (torch.cat(parts) - scale.centre) / scale.spread
    seen = extract_features(student, PixelSelection(pixels, fold.validation), 0, 0)
    labels = fold.labels[fold.validation]

    head = copy.deepcopy(student.head).cpu().requires_grad_(True)
    search = torch.optim.LBFGS(
        head.parameters(), max_iter=ITERATIONS, history_size=10, line_search_fn="strong_wolfe"
    )

    def closure() -> Tensor:
        search.zero_grad()
        losses = [task.loss(head(standard[group]), rows[group])["loss"] for group in groups]
        loss = torch.stack(losses).mean()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    best = SearchFit(0, -1.0)
    for look in range(LOOKS):
        report(views + look, total)
        search.step(closure)  # type: ignore[no-untyped-call]
        with torch.no_grad():
            plain = scale.undo(head)
            answers = read_scores(plain(seen), task.classes).argmax(dim=1).numpy()
            score = measure(np.asarray(answers, dtype=np.int64), labels).per_class
        if score > best.score:
            best = SearchFit(ITERATIONS * (look + 1), score)
            student.head.load_state_dict(plain.state_dict())
    report(total, total)
    return best


@dataclass(frozen=True)
class Scale:
    """Each feature's mean and spread: searching standardised features takes far fewer steps."""

    centre: Tensor
    spread: Tensor

    @classmethod
    def of(cls, features: Tensor, shares: Tensor) -> "Scale":
        """Of float32[n, dS] features whose rows count as their shares, which sum to one."""
        centre = shares @ features
        return cls(centre, (shares @ (features - centre) ** 2).sqrt().clamp(min=1e-6))

    def undo(self, head: nn.Linear) -> nn.Linear:
        """The head of standardised features as one of features as they come."""
        plain = copy.deepcopy(head).requires_grad_(False)
        plain.weight.div_(self.spread)
        plain.bias.sub_(plain.weight @ self.centre)
        return plain
