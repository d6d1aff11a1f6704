"""A simulated rush: many callers, one engine, the real entrance, and a clock that costs no time."""

import heapq
import itertools
import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from shared.digests import digest_text
from vendor_api.embeddings.decoding import Decoder
from vendor_api.embeddings.entrance import Entrance, Passage
from vendor_api.embeddings.promises import Caller
from vendor_api.embeddings.requests import Ask
from vendor_api.engine.base import EngineState, LaneLoad
from vendor_api.errors import VendorError


class Clock:
    """Runs from event to event."""

    def __init__(self) -> None:
        self.now = 0.0
        self._events: list[tuple[float, int, Callable[[], None]]] = []
        self._numbers = itertools.count()

    def at(self, when: float, event: Callable[[], None]) -> None:
        heapq.heappush(self._events, (when, next(self._numbers), event))

    def run(self) -> None:
        while self._events:
            self.now, _, event = heapq.heappop(self._events)
            event()


@dataclass
class Job:
    passage: Passage
    missing: int
    finish: Callable[[], None]


class Machine:
    """An engine's lane: batches of at most 16, `item_ms` an item, of which it believes a share."""

    def __init__(self, clock: Clock, item_ms: float, belief: float) -> None:
        self._clock, self._item_ms, self._believed_ms = clock, item_ms, item_ms * belief
        self._lost_s = 0.0
        self._waiting: deque[Job] = deque()
        self._computing = 0
        self.busy_s = 0.0
        self.longest = 0

    def put(self, job: Job) -> None:
        self._waiting.extend([job] * job.missing)
        self.longest = max(self.longest, len(self._waiting))
        if not self._computing:
            self._begin()

    def lose(self, seconds: float) -> None:
        """The processor has been busy with something else for so long."""
        self._lost_s += seconds

    def state(self) -> EngineState:
        load = LaneLoad(
            (len(self._waiting) + self._computing) * self._believed_ms, self._believed_ms
        )
        return EngineState(True, load.queued_ms, "r", 0, {"text": load, "image": load})

    def _begin(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(16, len(self._waiting)))]
        self._computing = len(batch)
        if batch:
            took = len(batch) * self._item_ms / 1000 + self._lost_s
            self._lost_s = 0.0
            self.busy_s += took
            self._clock.at(self._clock.now + took, lambda: self._end(batch))

    def _end(self, batch: list[Job]) -> None:
        self._begin()
        for job in batch:
            job.missing -= 1
            if not job.missing:
                job.finish()


@dataclass
class Story:
    """What became of one request."""

    account: str
    asked: float
    items: int = 1
    refusals: int = 0
    done: float | None = None


class Rush:
    """Callers who all honour what they are told, unless said otherwise."""

    def __init__(
        self,
        *,
        item_ms: float = 20.0,
        bound_ms: float = 2000.0,
        belief: float = 1.0,
        late: Callable[[], float] = lambda: 0.0,
        toll_ms: float = 0.0,
    ) -> None:
        """`toll_ms`: what a refusal takes from the engine's processor."""
        self.clock = Clock()
        self.item_ms = item_ms
        self.machine = Machine(self.clock, item_ms, belief)
        engine: Any = self.machine
        self.entrance = Entrance(
            engine, Decoder(1), max_queued_ms=bound_ms, clock=lambda: self.clock.now
        )
        self.late = late
        self._toll_s = toll_ms / 1000
        self.stories: list[Story] = []
        self._numbers = itertools.count()

    def call(self, when: float, *, account: str = "ada", items: int = 1, returns: int = 9) -> Story:
        """Somebody asks at `when`, and comes back at most `returns` times."""
        story = Story(account, when, items)
        self.stories.append(story)
        name = str(next(self._numbers))
        asks = [Ask("text", digest_text(f"{name} {row}"), text="a") for row in range(items)]
        caller = Caller(account, name.encode())
        self.clock.at(when, lambda: self._try(story, caller, asks, returns))
        return story

    def _try(self, story: Story, caller: Caller, asks: list[Ask], returns: int) -> None:
        try:
            passage = self.entrance.admit(caller, asks)
        except VendorError as error:
            story.refusals += 1
            self.machine.lose(self._toll_s)
            if story.refusals <= returns:
                told = math.ceil((error.retry_after_s or 0.0) * 1000) / 1000
                again = self.clock.now + told + self.late()
                self.clock.at(again, lambda: self._try(story, caller, asks, returns))
            return
        passage.hand_over()

        def finish() -> None:
            story.done = self.clock.now
            passage.__exit__(None, None, None)

        self.machine.put(Job(passage, len(asks), finish))

    def run(self) -> "Rush":
        self.clock.run()
        return self

    def share_after(self, refusals: int) -> float:
        """The share of callers who were served after at most so many refusals."""
        good = [
            each for each in self.stories if each.done is not None and each.refusals <= refusals
        ]
        return len(good) / len(self.stories)

    def use(self) -> float:
        """The time that an engine needs which lets everybody wait, beside what this one needed."""
        served = [each for each in self.stories if each.done is not None]
        ideal = first = min(each.asked for each in served)
        for each in sorted(served, key=lambda story: story.asked):
            ideal = max(ideal, each.asked) + each.items * self.item_ms / 1000
        return (ideal - first) / (max(each.done or 0.0 for each in served) - first)
