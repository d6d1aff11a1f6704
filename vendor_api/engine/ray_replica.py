"""What runs on the Ray cluster: a model with a batcher of its own, once in each replica.

Ray Serve makes it, asks for its health, and sends it the asks of every API process; what they ask at
the same time is computed together, as it is inside one server.
"""

import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from shared.wire import Modality
from vendor_api.engine.base import EngineUnavailable, Model, Runtime
from vendor_api.engine.batcher import Batcher, BatcherLimits, BatchReport
from vendor_api.engine.cuda_plan import DEFAULT_PLAN, CudaPlan, suit_limits
from vendor_api.engine.local import Device, Precision
from vendor_api.engine.ray_messages import Ask, Reply, pack_reply, unpack_ask
from vendor_api.engine.trial import measure_item_ms
from vendor_api.engine.worker import write_info
from vendor_api.stopwatch import Stopwatch

if TYPE_CHECKING:
    from vendor_api.engine.clip import ClipModel

UNTOLD_BATCHES = 1000
"""Reports kept for the next reply."""

__all__ = ["ClipReplica", "ReplicaOrder", "load_model"]


@dataclass(frozen=True, slots=True)
class ReplicaOrder:
    """What a replica is to load, and how much may wait in it."""

    id: str
    spec: str
    precision: Precision = "fp32"
    runtime: Runtime = "torch"
    device: Device = "cpu"
    threads: int | None = None
    """The library's default when None."""
    max_queued_ms: float = 10_000.0
    cuda: CudaPlan = DEFAULT_PLAN


def load_model(order: ReplicaOrder) -> "ClipModel":
    """Load the ordered model. Raises what `ClipModel.load` raises."""
    from vendor_api.engine.clip import ClipModel

    _limit_threads(order.threads)
    return ClipModel.load(
        order.id,
        order.spec,
        order.precision,
        order.runtime,
        order.threads,
        order.device,
        order.cuda,
    )


class ClipReplica:
    """The deployment's class; every method is called by Ray Serve."""

    def __init__(
        self,
        order: ReplicaOrder,
        load: Callable[[ReplicaOrder], Any] = load_model,
        measure: Callable[[Model], Mapping[Modality, float]] = measure_item_ms,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Load the model. Raises Refusal or ModelNotFound when it cannot be had."""
        self._clock = clock
        began = clock()
        model = load(order)
        self._load_s = clock() - began
        self._fill: int = model.fill
        self._model: Model = model
        self._untold: deque[BatchReport] = deque(maxlen=UNTOLD_BATCHES)
        self._batcher = Batcher(
            model,
            limits=_choose_limits(order, model),
            item_ms=model.cuda.report.item_ms if model.cuda else measure(model),
            find_trouble=model.find_trouble,
            prepare_thread=lambda: _limit_threads(order.threads),
            observe=self._untold.append,
        )

    async def describe(self) -> dict[str, Any]:
        """What an API process must know to sell this model: as JSON can hold it."""
        info = write_info(self._model.info)
        return {"info": info, "fill": self._fill, "load_s": self._load_s}

    async def embed(self, data: bytes) -> bytes:
        """Octets of an `Ask` in, octets of a `Reply` out; raises only when the process is broken."""
        ask = unpack_ask(data)
        if ask.revision != self._model.info.revision:
            return pack_reply(self._refuse_revision(ask))
        return pack_reply(await self._compute(ask))

    def check_health(self) -> None:
        """Raises RuntimeError when the batcher is dead or hangs: Ray then starts another replica."""
        if not self._batcher.state().alive:
            raise RuntimeError("the engine has stopped, or a batch hangs")

    async def _compute(self, ask: Ask) -> Reply:
        watch = Stopwatch()
        try:
            deadline = self._clock() + ask.seconds
            outcomes = await self._batcher.embed(ask.items, deadline, watch)
        except EngineUnavailable as error:
            return Reply(
                refusal=str(error),
                retry_after_s=error.retry_after_s,
                queued_ms=self._batcher.state().queued_ms,
                lanes=self._batcher.state().lanes,
            )
        state = self._batcher.state()
        return Reply(
            outcomes,
            model_s=watch.seconds.get("model", 0.0),
            queued_ms=state.queued_ms,
            lanes=state.lanes,
            batches=[self._untold.popleft() for _ in range(len(self._untold))],
        )

    def _refuse_revision(self, ask: Ask) -> Reply:
        info = self._model.info
        return Reply(
            refusal=f"the replicas compute {info.id}@{info.revision} and this server sells "
            f"{ask.revision}: restart the server",
            retry_after_s=30.0,
            changed=True,
        )


def _choose_limits(order: ReplicaOrder, model: "ClipModel") -> BatcherLimits:
    limits = BatcherLimits(max_queued_ms=order.max_queued_ms)
    return suit_limits(limits, order.cuda) if model.cuda else limits


def _limit_threads(threads: int | None) -> None:
    if threads:
        from shared.openclip import limit_threads

        limit_threads(threads)
