"""The batcher's queue: two lanes of waiting items, each with its estimated work."""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from shared.codecs import Vector
from vendor_api.engine.base import EngineUnavailable, Item, ItemFailure

LaneName = Literal["image", "text"]
LANE_NAMES: tuple[LaneName, ...] = ("text", "image")
Outcome = Vector | ItemFailure
LOOK_AHEAD = 512
"""Items passed over in search of some that go with the first."""

__all__ = [
    "LANE_NAMES",
    "Entry",
    "Lane",
    "LaneName",
    "Outcome",
    "Ticket",
    "lane_of",
    "measure",
    "refuse_all",
]


def lane_of(item: Item) -> LaneName:
    """Pixels have three axes, tokens one."""
    return "text" if item.ndim == 1 else "image"


@dataclass(slots=True, eq=False)
class Ticket:
    """One caller's items: answered together, skipped when the caller is gone."""

    deadline: float
    loop: asyncio.AbstractEventLoop
    future: "asyncio.Future[list[Outcome]]"
    outcomes: list[Outcome | None]
    missing: int
    asked: float
    """When it came, and when its first item was begun, by the batcher's clock."""
    begun: float = float("inf")
    started: bool = False
    withdrawn: bool = False

    def withdraw(self) -> None:
        """Note that nobody waits any more: what has not begun is skipped. From the caller's loop."""
        self.withdrawn = True
        self.future.cancel()

    def resolve(self, index: int, outcome: Outcome) -> None:
        """Note one item's outcome; the last one answers the caller. From the model's thread."""
        self.outcomes[index] = outcome
        self.missing -= 1
        if self.missing == 0:
            complete = [outcome for outcome in self.outcomes if outcome is not None]
            self._call(lambda: self.future.set_result(complete))

    def refuse(self, error: EngineUnavailable) -> None:
        """Answer the caller with what there is, or an error; its other items will be skipped."""
        self.withdrawn = True
        self._call(lambda: self._end(error))

    def give_up(self, error: EngineUnavailable) -> list[Outcome]:
        """The outcomes so far, the others the engine's failures. Raises `error` when there is none."""
        outcomes = list(self.outcomes)
        if all(outcome is None for outcome in outcomes):
            raise error
        failure = ItemFailure(str(error), "engine")
        return [failure if outcome is None else outcome for outcome in outcomes]

    def _end(self, error: EngineUnavailable) -> None:
        try:
            self.future.set_result(self.give_up(error))
        except EngineUnavailable:
            self.future.set_exception(error)

    def _call(self, answer: Callable[[], None]) -> None:
        def unless_cancelled() -> None:
            if not self.future.done():
                answer()

        try:
            self.loop.call_soon_threadsafe(unless_cancelled)
        except RuntimeError:
            # The caller's event loop has been closed: nobody is waiting any more.
            self.withdrawn = True


@dataclass(frozen=True, slots=True, eq=False)
class Entry:
    """One waiting item."""

    ticket: Ticket
    index: int
    item: Item
    length: int = 1
    """Tokens up to the last one that is not padding; of pictures, one."""

    def goes_with(self, other: "Entry") -> bool:
        """Whether both are well computed together: a batch costs as much as its longest text."""
        longer, shorter = max(self.length, other.length), min(self.length, other.length)
        return self.item.shape == other.item.shape and longer <= 2 * shorter


def measure(item: Item) -> int:
    """The length of an item, see `Entry`."""
    if item.ndim != 1 or not item.any():
        return 1
    return int(np.flatnonzero(item).max()) + 1


@dataclass(slots=True)
class Lane:
    """Items of one modality, first come first served, with a running estimate of their cost."""

    name: LaneName
    item_ms: float
    """Estimated milliseconds an item takes; follows what batches take."""
    max_items: int
    batch_ms: float = 0.0
    """Estimated work of the batch that is computed now."""
    batch_since: float | None = None
    """When that was begun, by the batcher's clock."""
    entries: deque[Entry] = field(default_factory=deque)

    @property
    def queued_ms(self) -> float:
        """Estimated work of this lane: what waits and what is computed."""
        return len(self.entries) * self.item_ms + self.batch_ms

    def take(self, max_ms: float, now: float) -> list[Entry]:
        """The next batch: the item that waits longest, and what goes well with it of those that wait.

        Gone and late ones are dropped; the others keep their order.
        """
        room = max(1, min(self.max_items, int(max_ms / self.item_ms)))
        batch: list[Entry] = []
        passed: list[Entry] = []
        while self.entries and len(batch) < room and len(passed) < LOOK_AHEAD:
            entry = self.entries.popleft()
            if self._is_gone(entry, now):
                continue
            if batch and not entry.goes_with(batch[0]):
                passed.append(entry)
                continue
            if not entry.ticket.started:
                entry.ticket.started, entry.ticket.begun = True, now
            batch.append(entry)
        self.entries.extendleft(reversed(passed))
        return batch

    def _is_gone(self, entry: Entry, now: float) -> bool:
        if entry.ticket.withdrawn:
            return True
        late = entry.ticket.deadline <= now and not entry.ticket.started
        if late:
            entry.ticket.refuse(EngineUnavailable("the request waited too long for the engine"))
        return late

    def learn(self, items: int, seconds: float) -> None:
        """Move the estimate a fifth of the way to what a batch has just taken per item.

        One batch that took very long (the first of all, or one beside a page fault) says little of
        the next: at most three times the estimate is believed, so that it grows by 40 % a batch.
        """
        found = min(max(seconds * 1000 / items, 0.01), 3 * self.item_ms)
        self.item_ms += 0.2 * (found - self.item_ms)


def refuse_all(entries: Iterable[Entry], error: EngineUnavailable) -> None:
    """Answer every caller of `entries` with the error."""
    for ticket in {id(entry.ticket): entry.ticket for entry in entries}.values():
        ticket.refuse(error)
