"""SWAD (Cha et al. 2021): the mean of the weights along the flat bottom of source validation's loss.

The steps between two evaluations are a segment, and each segment has its mean weights. LossValley
decides from the evaluations' losses which segments count; see `Valley`.
"""

import copy
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from client.train.averaging import LastWeights, Reading, Tensors, WeightPair, load_named
from client.train.student import Student

CONVERGE = 3
"""N_s: the valley begins at a loss that the following N_s − 1 do not undercut."""
TOLERATE = 6
"""N_e: it has ended when that many losses in a row lie above the threshold."""
RATIO = 0.3
"""r: how far above the mean of its first N_s losses the threshold lies."""

__all__ = ["Swad", "Valley"]


@dataclass(frozen=True, slots=True)
class Valley:
    """Where SWAD averages, from the losses alone (method § 1.6); evaluations count from 0.

    Start: the loss N_s evaluations ago is the least of the last N_s. Threshold: (1+r) times the mean
    of those. End: the least of the last N_e losses is above the threshold; none of the N_e counts.
    """

    seen: int = 0
    recent: tuple[float, ...] = ()
    """The last losses, as many as the rules look at."""
    start: int | None = None
    threshold: float | None = None
    end: int | None = None
    """The last evaluation that counts; None while the valley goes on."""

    def after(self, loss: float) -> "Valley":
        """The valley when one more evaluation has given `loss`; an ended one stays as it is."""
        if self.end is not None:
            return self
        seen, recent = self.seen + 1, (*self.recent, loss)[-max(CONVERGE, TOLERATE) :]
        if self.start is None or self.threshold is None:
            first = recent[-CONVERGE:]
            if len(first) < CONVERGE or first[0] > min(first):
                return Valley(seen, recent)
            return Valley(seen, recent, seen - CONVERGE, (1 + RATIO) * fmean(first))
        # The first loss of the valley is below its threshold, so the N_e all came after it.
        over = min(recent[-TOLERATE:]) > self.threshold
        end = seen - 1 - TOLERATE if over else None
        return Valley(seen, recent, self.start, self.threshold, end)


class Swad(LastWeights):
    """The mean of the valley's segments; of the last segment when there was no valley.

    Segments that may still turn out not to count are kept one by one, at most N_e of them.
    """

    def __init__(self, student: Student):
        super().__init__(student)
        self.model = copy.deepcopy(student).requires_grad_(False)
        self._pair = WeightPair(student, self.model)
        self._valley = Valley()
        self._steps = 0
        self._ends: list[int] = []
        self._waiting: list[list[Tensor]] = []
        self._total: list[Tensor] = []
        self._counted = 0

    @property
    def ended(self) -> bool:
        """Whether the valley is over; training then ends early, as published."""
        return self._valley.end is not None

    def update(self) -> None:
        """Take the weights into the segment's running mean, which `model` holds until the end."""
        self._steps += 1
        self._pair.move(1 / self._steps)

    @torch.no_grad()
    def evaluate(self, reading: Reading) -> None:
        """Close the segment with the loss of the student as it is now."""
        searching = self._valley.start is None
        self._valley = self._valley.after(reading.loss)
        self._ends.append(reading.step)
        self._steps = 0
        self._waiting.append([value.clone() for value in self._pair.target])
        if searching:
            del self._waiting[:-CONVERGE]
        while self._valley.start is not None and len(self._waiting) > TOLERATE:
            self._count(self._waiting.pop(0))
        if self.ended:
            self._waiting.clear()

    @torch.no_grad()
    def finish(self) -> dict[str, Any]:
        """Give `model` the mean, and say which steps are in it."""
        if self._valley.start is None:
            self._waiting = self._waiting[-1:]
        for segment in self._waiting:
            self._count(segment)
        self._waiting = []
        torch._foreach_copy_(self._pair.target, self._total)
        first = self._valley.start if self._valley.start is not None else len(self._ends) - 1
        last = self._valley.end if self._valley.end is not None else len(self._ends) - 1
        return {
            "swad_start": self._ends[first - 1] + 1 if first else 1,
            "swad_end": self._ends[last],
            "swad_segments": last - first + 1,
            "swad_threshold": self._valley.threshold,
        }

    def tensors(self) -> Tensors:
        """The open segment, the mean so far, and the segments that wait."""
        named = {f"average.{k}": v for k, v in self.model.state_dict().items()}
        named |= {f"swad.total.{i}": value for i, value in enumerate(self._total)}
        for number, segment in enumerate(self._waiting):
            named |= {f"swad.{number}.{i}": value for i, value in enumerate(segment)}
        return named

    def document(self) -> dict[str, Any]:
        """The valley, and how much each mean holds."""
        return {
            "valley": asdict(self._valley),
            "steps": self._steps,
            "ends": self._ends,
            "waiting": len(self._waiting),
            "counted": self._counted,
        }

    def restore(self, tensors: Tensors, document: dict[str, Any]) -> None:
        """Become what the document and the tensors describe."""
        load_named(self.model, tensors, "average.")
        valley = document["valley"]
        self._valley = Valley(**{**valley, "recent": tuple(valley["recent"])})
        self._steps, self._counted = int(document["steps"]), int(document["counted"])
        self._ends = [int(step) for step in document["ends"]]
        self._waiting = [self._read(tensors, str(n)) for n in range(int(document["waiting"]))]
        self._total = self._read(tensors, "total") if self._counted else []

    def _read(self, tensors: Tensors, part: str) -> list[Tensor]:
        """One set of weights, in the memory layout of the model's: others could round differently."""
        return [
            torch.empty_like(value).copy_(tensors[f"swad.{part}.{i}"])
            for i, value in enumerate(self._pair.target)
        ]

    def _count(self, segment: list[Tensor]) -> None:
        self._counted += 1
        if self._counted == 1:
            self._total = segment
        else:
            torch._foreach_lerp_(self._total, segment, 1 / self._counted)
