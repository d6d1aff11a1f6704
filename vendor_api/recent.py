"""How many answers of the last five minutes were failures of the service's own."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

WINDOW_S = 300.0
BUCKET_S = 10.0

__all__ = ["WINDOW_S", "RecentAnswers", "Share"]


@dataclass(frozen=True, slots=True)
class Share:
    """So many answers, so many of them 5xx."""

    answers: int
    failures: int


class RecentAnswers:
    """Counts answers in steps of ten seconds and forgets what is older than five minutes."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._steps: deque[list[int]] = deque()
        """Step, answers, failures; the youngest last."""

    def note(self, status: int) -> None:
        """Count one answer."""
        step = self._forget()
        if not self._steps or self._steps[-1][0] != step:
            self._steps.append([step, 0, 0])
        self._steps[-1][1] += 1
        self._steps[-1][2] += status >= 500

    def share(self) -> Share:
        """The last five minutes."""
        self._forget()
        steps = list(self._steps)
        return Share(sum(step[1] for step in steps), sum(step[2] for step in steps))

    def _forget(self) -> int:
        step = int(self._clock() // BUCKET_S)
        while self._steps and self._steps[0][0] <= step - WINDOW_S // BUCKET_S:
            self._steps.popleft()
        return step
