"""How far a comparison has come, and how long the rest will take at the pace seen so far."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from client.train.config import TrainConfig
from client.train.methods import find_method

FIXED_STEPS = 60
"""What Align, evaluation and reading cost beside the steps, counted in steps."""

__all__ = ["Pace", "Standing", "count_work"]


@dataclass(frozen=True, slots=True)
class Standing:
    """What a finished run leaves to do."""

    label: str
    done: int
    """Runs and trials, of `total`."""
    total: int
    seconds_left: float | None
    """At the pace of this session; None until something was trained in it."""

    @property
    def sentence(self) -> str:
        """For a person."""
        left = "" if self.seconds_left is None else f"; about {_say(self.seconds_left)} left"
        return f"{self.done} of {self.total} done: {self.label}{left}"


def count_work(config: TrainConfig) -> int:
    """A run's share of the time, in steps: nothing for the teacher, little for a head alone."""
    method = find_method(config.method)
    if not method.trains:
        return 0
    return FIXED_STEPS + (config.steps if method.distils else 0)


@dataclass
class Pace:
    """Counts work as it is finished."""

    runs: int
    """All that there are."""
    work: int
    """Of all runs together (`count_work`)."""
    clock: Callable[[], float] = time.monotonic
    done: int = 0
    _open: int = field(init=False)
    _trained: int = 0
    _spent: float = 0.0
    _since: float = field(init=False)

    def __post_init__(self) -> None:
        self._open, self._since = self.work, self.clock()

    def finish(self, label: str, work: int, *, found: bool) -> Standing:
        """One more is finished; `found` says that it was there already and took no time."""
        now = self.clock()
        self.done += 1
        self._open -= work
        if not found:
            self._trained += work
            self._spent += now - self._since
        self._since = now
        left = self._open * self._spent / self._trained if self._trained else None
        return Standing(label, self.done, self.runs, left)


def _say(seconds: float) -> str:
    minutes = round(seconds / 60)
    if minutes < 1:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60:02d} min"
