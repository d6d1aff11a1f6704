"""Which weights a stage leaves behind: a running average, the last, or the best evaluated head."""

import copy
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from client.train.student import Student

__all__ = ["BestHead", "Ema", "LastWeights", "Reading", "WeightAverage", "estimate_batchnorm"]

Tensors = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Reading:
    """What an evaluation found on source validation."""

    step: int
    """Steps before it."""
    accuracy: float
    """Mean per class."""
    loss: float
    """Cross-entropy."""


class WeightAverage(Protocol):
    """How a stage comes from the steps of one student to one set of weights."""

    @property
    def model(self) -> Student:
        """The weights that are kept; of meaning to others once `finish` was called."""
        ...

    @property
    def ended(self) -> bool:
        """Whether further steps would change nothing."""
        ...

    @property
    def candidate(self) -> Student:
        """What an evaluation looks at."""
        ...

    def update(self) -> None:
        """Hear of an optimiser step."""
        ...

    def evaluate(self, reading: Reading) -> None:
        """Hear what an evaluation of the candidate found."""
        ...

    def finish(self) -> dict[str, Any]:
        """Make `model` the kept weights; what there is to say about them."""
        ...

    def tensors(self) -> Tensors:
        """All that `restore` needs beside the document, under names of a checkpoint."""
        ...

    def document(self) -> dict[str, Any]:
        """The numbers among it, as JSON carries them."""
        ...

    def restore(self, tensors: Tensors, document: dict[str, Any]) -> None:
        """Become what another was, bit for bit; `tensors` may hold others' too."""
        ...


class LastWeights:
    """No averaging: the student as its last step left it."""

    def __init__(self, student: Student):
        self.candidate = self.model = student

    @property
    def ended(self) -> bool:
        """Never."""
        return False

    def update(self) -> None:
        """Nothing to do."""

    def evaluate(self, reading: Reading) -> None:
        """Nothing to do."""

    def finish(self) -> dict[str, Any]:
        """Nothing to do."""
        return {}

    def tensors(self) -> Tensors:
        """None: the student is kept by itself."""
        return {}

    def document(self) -> dict[str, Any]:
        """Empty."""
        return {}

    def restore(self, tensors: Tensors, document: dict[str, Any]) -> None:
        """Nothing to do."""


class Ema(LastWeights):
    """average ← d·average + (1−d)·student, d growing to `decay` so that early weights fade."""

    def __init__(self, student: Student, decay: float):
        super().__init__(copy.deepcopy(student).requires_grad_(False))
        self._pair = WeightPair(student, self.model)
        self._decay, self._steps = decay, 0

    def update(self) -> None:
        """Take a share of the student's weights."""
        self._pair.move(1 - min(self._decay, (1 + self._steps) / (10 + self._steps)))
        self._steps += 1

    def tensors(self) -> Tensors:
        """The average."""
        return {f"average.{k}": v for k, v in self.model.state_dict().items()}

    def document(self) -> dict[str, Any]:
        """How many steps are in it."""
        return {"steps": self._steps}

    def restore(self, tensors: Tensors, document: dict[str, Any]) -> None:
        """Fill the average."""
        load_named(self.model, tensors, "average.")
        self._steps = int(document["steps"])


class BestHead(LastWeights):
    """The head of the evaluation with the best accuracy, of equals the first (method § 1.6)."""

    def __init__(self, student: Student):
        super().__init__(student)
        self._accuracy = -1.0
        self._head = {k: v.clone() for k, v in student.head.state_dict().items()}

    def evaluate(self, reading: Reading) -> None:
        """Keep the head if it is the best so far."""
        if reading.accuracy > self._accuracy:
            self._accuracy = reading.accuracy
            for name, value in self.model.head.state_dict().items():
                self._head[name].copy_(value)

    def finish(self) -> dict[str, Any]:
        """Give the student the kept head."""
        self.model.head.load_state_dict(self._head)
        return {"validation": self._accuracy}

    def tensors(self) -> Tensors:
        """The kept head."""
        return {f"best.{k}": v for k, v in self._head.items()}

    def document(self) -> dict[str, Any]:
        """How good it is."""
        return {"accuracy": self._accuracy}

    def restore(self, tensors: Tensors, document: dict[str, Any]) -> None:
        """Fill the kept head."""
        self._accuracy = float(document["accuracy"])
        for name, value in self._head.items():
            value.copy_(tensors[f"best.{name}"])


class WeightPair:
    """Two students' tensors side by side, listed once: walking the modules each step is slow."""

    def __init__(self, source: Student, target: Student):
        theirs, ours = source.state_dict(), target.state_dict()
        floating = [k for k, v in theirs.items() if v.is_floating_point()]
        self.source = [theirs[k] for k in floating]
        self.target = [ours[k] for k in floating]
        self._counters = [(ours[k], theirs[k]) for k in theirs if k not in set(floating)]

    @torch.no_grad()
    def move(self, share: float) -> None:
        """target ← target + share·(source − target), exact where nothing moved; counters follow."""
        torch._foreach_lerp_(self.target, self.source, share)
        for ours, theirs in self._counters:
            ours.copy_(theirs)


def load_named(student: Student, tensors: Tensors, prefix: str) -> None:
    """Fill a student with the tensors under a prefix. Raises RuntimeError for another student's."""
    student.load_state_dict(
        {k.removeprefix(prefix): v for k, v in tensors.items() if k.startswith(prefix)}
    )


@torch.no_grad()
def estimate_batchnorm(student: Student, batches: Iterable[Tensor]) -> None:
    """Replace BatchNorm statistics by the mean over `batches` of float[n, 3, s, s]: averaged weights
    see other activations than the weights that the running statistics belong to."""
    norms = [m for m in student.modules() if isinstance(m, nn.modules.batchnorm._BatchNorm)]
    before = [norm.momentum for norm in norms]
    student.eval()
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # a plain mean over the batches
        norm.train()
    for images in batches:
        student(images)
    for norm, momentum in zip(norms, before, strict=True):
        norm.momentum = momentum
    student.eval()
