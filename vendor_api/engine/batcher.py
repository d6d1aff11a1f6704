"""A local engine: threads that pull batches from two lanes and feed a model, one thread on a processor.

Pull-based and greedy: the moment the model is free it takes what waits, up to a bound of estimated
work; there is no timer. Texts never wait behind a queue of images, nor the reverse.
"""

import asyncio
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from shared.codecs import Vector
from shared.wire import Modality
from vendor_api import failpoints
from vendor_api.engine.base import (
    USUAL_ITEM_MS,
    EngineLost,
    EngineState,
    EngineUnavailable,
    Fault,
    Item,
    ItemFailure,
    LaneLoad,
    Model,
)
from vendor_api.engine.crews import Crew
from vendor_api.engine.lanes import (
    LANE_NAMES,
    Entry,
    Lane,
    LaneName,
    Ticket,
    lane_of,
    measure,
    refuse_all,
)
from vendor_api.stopwatch import Stopwatch

__all__ = ["DEFAULT_LIMITS", "BatchReport", "Batcher", "BatcherLimits"]


@dataclass(frozen=True, slots=True)
class BatcherLimits:
    """How much may wait, and how much is computed at once."""

    max_images: int = 16
    """A batch; more buys nothing on a CPU and costs latency."""
    max_texts: int = 64
    max_batch_ms: float = 1000.0
    """Estimated work of a batch."""
    max_wait_ms: float = 50.0
    """The same of images while texts come, where a text must wait for a batch to end."""
    text_memory_s: float = 2.0
    """Texts come while the last one came within this time."""
    max_queued_ms: float = 10_000.0
    """Estimated work that may wait; beyond it callers are turned away at once."""
    stall_s: float = 60.0
    """A batch that takes longer than this means a hung device: the engine is then not alive."""
    crews: tuple[tuple[LaneName, ...], ...] = (LANE_NAMES,)
    """The lanes of each thread; as many batches are under way at a time as there are threads."""


DEFAULT_LIMITS = BatcherLimits()


@dataclass(frozen=True, slots=True)
class BatchReport:
    """What one batch was, for metrics."""

    lane: LaneName
    items: int
    seconds: float
    failed: int
    room: int
    """Items it could have held."""


class Batcher:
    """`Engine` over a `Model`, which only the batcher's own threads call: one, unless `limits.crews` has
    more.

    `item_ms`: what an item is believed to take, until batches have told.
    `stack`: items → what the model's methods are given of a batch.
    `find_trouble`: why the model cannot compute now, or None; a batcher with trouble is not alive.
    `close_model`: called when the batcher has ended.
    """

    def __init__(  # noqa: PLR0913  (each is a seam of its own)
        self,
        model: Model,
        *,
        limits: BatcherLimits = DEFAULT_LIMITS,
        item_ms: Mapping[Modality, float] = USUAL_ITEM_MS,
        stack: Callable[[list[Item]], Any] = np.stack,
        prepare_thread: Callable[[], None] = lambda: None,
        observe: Callable[[BatchReport], None] = lambda report: None,
        find_trouble: Callable[[], str | None] = lambda: None,
        close_model: Callable[[], None] = lambda: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._model = model
        self._limits = limits
        self._stack = stack
        self._prepare_thread = prepare_thread
        self._observe = observe
        self._find_trouble = find_trouble
        self._close_model = close_model
        self._clock = clock
        self._lanes: dict[LaneName, Lane] = {
            "text": Lane("text", item_ms["text"], limits.max_texts),
            "image": Lane("image", item_ms["image"], limits.max_images),
        }
        self._text_came = -float("inf")
        self._wakeup = threading.Condition()
        self._closing = False
        self._death: str | None = None
        self._answering = threading.Lock()
        """A caller's items may be in the batches of several threads."""
        self._crews = [Crew(lanes) for lanes in limits.crews]
        for crew in self._crews:
            crew.thread = threading.Thread(
                target=self._work, args=(crew,), name=f"engine-{model.info.id}", daemon=True
            )
        for crew in self._crews:
            crew.thread.start()

    async def embed(
        self, items: Sequence[Item], deadline: float, watch: Stopwatch | None = None
    ) -> list[Vector | ItemFailure]:
        """See `Engine.embed`.

        When the caller is cancelled before any of its items was begun, they are skipped; later, they
        are finished and returned, because work that was begun is work that is paid for.
        """
        if not items:
            return []
        ticket = self._enqueue(items, deadline)
        try:
            return await self._await(ticket, deadline)
        finally:
            if watch is not None and ticket.started:
                watch.add("queue", ticket.begun - ticket.asked)
                watch.add("model", self._clock() - ticket.begun)

    async def _await(self, ticket: Ticket, deadline: float) -> list[Vector | ItemFailure]:
        try:
            async with asyncio.timeout_at(
                asyncio.get_running_loop().time() + deadline - self._clock()
            ):
                return await asyncio.shield(ticket.future)
        except TimeoutError:
            ticket.withdraw()
            return ticket.give_up(EngineUnavailable("the engine did not finish in time"))
        except asyncio.CancelledError:
            with self._wakeup:
                if not ticket.started:
                    ticket.withdraw()
                    raise
            return await ticket.future

    def state(self) -> EngineState:
        """See `Engine.state`."""
        loads = {name: self._read_load(name) for name in LANE_NAMES}
        queued = sum(load.queued_ms for load in loads.values())
        waiting = sum(len(lane.entries) for lane in self._lanes.values())
        return EngineState(self._alive(), queued, self._model.info.revision, waiting, loads)

    def _read_load(self, name: LaneName) -> LaneLoad:
        lane = self._lanes[name]
        under_way = sum(crew.batch_ms for crew in self._crews if crew.is_at(name))
        return LaneLoad(lane.queued_ms + under_way, lane.item_ms)

    def close(self, timeout_s: float | None = None) -> None:
        """Finish what waits, then stop the threads."""
        with self._wakeup:
            self._closing = True
            self._wakeup.notify_all()
        for crew in self._crews:
            crew.thread.join(timeout_s)
        self._close_model()

    def _alive(self) -> bool:
        now = self._clock()
        began = [since for crew in self._crews if (since := crew.since) is not None]
        stalled = any(now - since > self._limits.stall_s for since in began)
        stopped = self._death is not None or not all(c.thread.is_alive() for c in self._crews)
        return not stopped and not stalled and self._find_trouble() is None

    def _enqueue(self, items: Sequence[Item], deadline: float) -> Ticket:
        loop = asyncio.get_running_loop()
        ticket = Ticket(
            deadline, loop, loop.create_future(), [None] * len(items), len(items), self._clock()
        )
        with self._wakeup:
            self._admit(items, deadline)
            for index, item in enumerate(items):
                entry = Entry(ticket, index, item, measure(item))
                lane = lane_of(item)
                self._lanes[lane].entries.append(entry)
                if lane == "text":
                    self._text_came = ticket.asked
            self._wakeup.notify_all()
        return ticket

    def _admit(self, items: Sequence[Item], deadline: float) -> None:
        state = self.state()
        if not state.alive:
            reason = self._death or self._find_trouble() or "a batch hangs"
            raise EngineUnavailable(f"the engine has stopped: {reason}", 5.0)
        if self._closing:
            raise EngineUnavailable("the engine is being shut down", 5.0)
        work_ms = sum(self._lanes[lane_of(item)].item_ms for item in items)
        left_ms = (deadline - self._clock()) * 1000
        # An idle engine takes any request: its estimates may be wrong, and only work corrects them.
        if state.queued_ms > 0 and state.queued_ms + work_ms > min(
            self._limits.max_queued_ms, left_ms
        ):
            raise EngineUnavailable(
                "the engine has too much to do", max(state.queued_ms / 1000, 0.1)
            )

    def _work(self, crew: Crew) -> None:
        batch: list[Entry] = []
        try:
            self._prepare_thread()
            while batch := self._next_batch(crew):
                self._run(batch)
        except BaseException as error:
            # Whatever ends a thread must be seen by callers and by /readyz.
            self._death = f"{type(error).__name__}: {error}"
            self._refuse_waiting(batch)
            if not isinstance(error, Exception | SystemExit):
                raise

    def _refuse_waiting(self, batch: list[Entry]) -> None:
        with self._wakeup:
            waiting = [entry for lane in self._lanes.values() for entry in lane.entries]
            for lane in self._lanes.values():
                lane.entries.clear()
        refuse_all(
            batch + waiting, EngineUnavailable(f"the engine has stopped: {self._death}", 5.0)
        )

    def _next_batch(self, crew: Crew) -> list[Entry]:
        """Block until something waits; empty only when closing and all is done."""
        with self._wakeup:
            while True:
                for name in crew.order():
                    batch = self._lanes[name].take(self._bound_ms(name), self._clock())
                    if batch:
                        batch_ms = len(batch) * self._lanes[name].item_ms
                        crew.take(name, batch_ms, self._clock())
                        return batch
                crew.rest()
                if self._closing:
                    return []
                self._wakeup.wait()

    def _bound_ms(self, name: LaneName) -> float:
        """Estimated work of a batch: little of images lately mixed with texts, which would wait for it."""
        mixed = self._clock() - self._text_came < self._limits.text_memory_s
        if name == "image" and mixed and LANE_NAMES in self._limits.crews:
            return min(self._limits.max_batch_ms, self._limits.max_wait_ms)
        return self._limits.max_batch_ms

    def _run(self, batch: list[Entry]) -> None:
        lane = lane_of(batch[0].item)
        began = self._clock()
        outcomes = self._encode([entry.item for entry in batch], lane)
        seconds = self._clock() - began
        failed = sum(isinstance(outcome, ItemFailure) for outcome in outcomes)
        # Before the answers: whoever has one may look for its batch in the metrics.
        self._observe(BatchReport(lane, len(batch), seconds, failed, self._lanes[lane].max_items))
        with self._answering:
            self._lanes[lane].learn(len(batch), began, began + seconds)
            for entry, outcome in zip(batch, outcomes, strict=True):
                entry.ticket.resolve(entry.index, outcome)

    def _encode(self, items: list[Item], lane: LaneName) -> list[Vector | ItemFailure]:
        encode = self._model.encode_texts if lane == "text" else self._model.encode_images
        try:
            failpoints.reach("mid_forward")
            vectors = encode(self._stack(items))
        except EngineLost as error:
            return [ItemFailure(f"the engine was lost: {error}", "engine") for _ in items]
        except Exception as error:
            if len(items) == 1:
                fault: Fault = "item" if isinstance(error, ValueError) else "engine"
                return [ItemFailure(f"{type(error).__name__}: {error}", fault)]
            # One bad item must not harm its neighbours: let each stand alone.
            return [outcome for item in items for outcome in self._encode([item], lane)]
        finite = [bool(np.isfinite(vector).all()) for vector in vectors]
        return [
            vector if good else ItemFailure("the model's vector is not finite")
            for vector, good in zip(vectors, finite, strict=True)
        ]
