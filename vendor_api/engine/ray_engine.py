"""A model computed on a Ray cluster: `Engine` for an API process, one of any number.

Items are prepared here and computed by whichever replica has the shortest queue. A replica that dies
takes no vector and no money with it: what it had is asked of another one, and only what arrives is
charged.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from shared.codecs import Vector
from vendor_api.engine.base import (
    EngineState,
    EngineUnavailable,
    Item,
    ItemFailure,
    LaneLoad,
    ModelInfo,
    ServedModel,
)
from vendor_api.engine.batcher import DEFAULT_LIMITS, BatcherLimits, BatchReport
from vendor_api.engine.lanes import lane_of
from vendor_api.engine.ray_messages import Ask, Reply, pack_ask, unpack_reply
from vendor_api.engine.ray_road import QueuesFull, ReplicaLost
from vendor_api.refusal import Refusal
from vendor_api.stopwatch import Stopwatch

if TYPE_CHECKING:
    from shared.wire import Modality
    from vendor_api.engine.local import ModelSpec

TRIES = 4
"""Replicas that may die over the same items before their sender is told."""
PART_BYTES = 3 * 1024 * 1024
"""Of items in one ask; Ray Serve refuses messages above four."""
PAUSE_SECONDS = 0.2
"""Before another replica is asked: Ray must have noticed that the first is gone."""

__all__ = ["Line", "RayEngine", "load_ray"]


class Line(Protocol):
    """The way to a model's replicas."""

    info: ModelInfo
    load_s: float
    """How long a replica takes to load the model."""

    async def ask(self, data: bytes) -> bytes:
        """The packed `Reply` to a packed `Ask`. Raises ReplicaLost or QueuesFull."""
        ...

    def find_trouble(self) -> str | None:
        """Why nothing can be computed now; None when all is well."""
        ...

    def give_up(self, why: str) -> None:
        """Be down from now on."""
        ...

    def close(self) -> None:
        """End it."""
        ...


@dataclass(frozen=True, slots=True)
class _Part:
    """Some of a request's items, for one replica."""

    indices: list[int]
    items: list[Item]


class RayEngine:
    """`Engine` over a line to replicas; a call that is cancelled is taken back, and nobody pays for it."""

    def __init__(
        self,
        line: Line,
        *,
        limits: BatcherLimits = DEFAULT_LIMITS,
        observe: Callable[[BatchReport], None] = lambda report: None,
        clock: Callable[[], float] = time.monotonic,
        pause_s: float = PAUSE_SECONDS,
    ) -> None:
        self._line = line
        self._limits = limits
        self._observe = observe
        self._clock = clock
        self._pause_s = pause_s
        self._waiting = 0
        self._queued_ms = 0.0
        self._lanes: Mapping[Modality, LaneLoad] = {}
        self._queued_at = clock()

    async def embed(
        self, items: Sequence[Item], deadline: float, watch: Stopwatch | None = None
    ) -> list[Vector | ItemFailure]:
        """See `Engine.embed`. Items that a dying replica took with it are asked of another one."""
        if not items:
            return []
        self._check()
        began = self._clock()
        parts = list(_divide(items, self._limits))
        self._waiting += len(items)
        try:
            asked = (self._embed(part, deadline) for part in parts)
            replies = await asyncio.gather(*asked)
        finally:
            self._waiting -= len(items)
        if watch is not None:
            model_s = max(
                (reply.model_s for reply in replies if isinstance(reply, Reply)), default=0
            )
            watch.add("queue", self._clock() - began - model_s)
            watch.add("model", model_s)
        return _assemble(len(items), parts, replies)

    def state(self) -> EngineState:
        """See `Engine.state`; the queue is what the replica that answered last has said of its own."""
        passed_ms = (self._clock() - self._queued_at) * 1000
        lanes = {
            name: LaneLoad(max(0.0, load.queued_ms - passed_ms), load.item_ms)
            for name, load in self._lanes.items()
        }
        return EngineState(
            self._line.find_trouble() is None,
            max(0.0, self._queued_ms - passed_ms),
            self._line.info.revision,
            self._waiting,
            lanes,
        )

    def close(self) -> None:
        """Leave the cluster; the replicas go on for the other API processes."""
        self._line.close()

    def _check(self) -> None:
        trouble = self._line.find_trouble()
        if trouble is not None:
            # A replica that is being started is there when it has loaded the model.
            raise EngineUnavailable(
                f"the engine is down: {trouble}", max(1.0, round(self._line.load_s, 1))
            )

    async def _embed(self, part: _Part, deadline: float) -> Reply | EngineUnavailable:
        """A reply with outcomes, or why there is none."""
        try:
            async with asyncio.timeout(deadline - self._clock()):
                reply = await self._ask(part, deadline)
        except TimeoutError:
            return EngineUnavailable("the engine did not finish in time")
        except EngineUnavailable as error:
            return error
        self._learn(reply)
        if reply.refusal is not None:
            return EngineUnavailable(reply.refusal, reply.retry_after_s)
        return reply

    async def _ask(self, part: _Part, deadline: float) -> Reply:
        reason = ""
        for _ in range(TRIES):
            left = deadline - self._clock()
            ask = Ask(part.items, left, self._line.info.revision)
            try:
                return unpack_reply(await self._line.ask(pack_ask(ask)))
            except QueuesFull as error:
                retry = max(1.0, self.state().queued_ms / 1000)
                raise EngineUnavailable("the engine has too much to do", retry) from error
            except ReplicaLost as error:
                reason = str(error)
                await asyncio.sleep(self._pause_s)
                self._check()
        raise EngineUnavailable(f"the engine was lost {TRIES} times: {reason}", 5.0)

    def _learn(self, reply: Reply) -> None:
        self._queued_ms, self._lanes, self._queued_at = reply.queued_ms, reply.lanes, self._clock()
        for batch in reply.batches:
            self._observe(batch)
        if reply.changed and reply.refusal is not None:
            self._line.give_up(reply.refusal)


def load_ray(
    model: "ModelSpec",
    address: str,
    *,
    limits: BatcherLimits = DEFAULT_LIMITS,
    observe: Callable[[BatchReport], None] = lambda report: None,
) -> ServedModel:
    """A model that is deployed on the cluster at `address`. Raises Refusal when it is not."""
    from vendor_api.engine.preparation import ClipPreparation
    from vendor_api.engine.ray_line import RayLine

    line = RayLine(model.id, address)
    try:
        preparation = ClipPreparation(model.spec, line.info, line.fill)
    except Refusal:
        line.close()
        raise
    return ServedModel(line.info, preparation, RayEngine(line, limits=limits, observe=observe))


def _divide(items: Sequence[Item], limits: BatcherLimits) -> Iterator[_Part]:
    """Parts of one shape that fill a batch, so that a large request is computed by several replicas."""
    kinds: dict[tuple[int, ...], list[int]] = {}
    for index, item in enumerate(items):
        kinds.setdefault(item.shape, []).append(index)
    for indices in kinds.values():
        first = items[indices[0]]
        batch = limits.max_texts if lane_of(first) == "text" else limits.max_images
        most = max(1, min(batch, PART_BYTES // first.nbytes))
        for start in range(0, len(indices), most):
            some = indices[start : start + most]
            yield _Part(some, [items[index] for index in some])


def _assemble(
    count: int, parts: Sequence[_Part], replies: Sequence[Reply | EngineUnavailable]
) -> list[Vector | ItemFailure]:
    """Outcomes in the order of the items. Raises EngineUnavailable when no part has any."""
    missing = [reply for reply in replies if isinstance(reply, EngineUnavailable)]
    if len(missing) == len(replies):
        raise max(missing, key=lambda error: error.retry_after_s)
    outcomes: list[Vector | ItemFailure] = [ItemFailure("not asked", "engine")] * count
    for part, reply in zip(parts, replies, strict=True):
        for place, index in enumerate(part.indices):
            outcomes[index] = (
                ItemFailure(str(reply), "engine")
                if isinstance(reply, EngineUnavailable)
                else reply.outcomes[place]
            )
    return outcomes
