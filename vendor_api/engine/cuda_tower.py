"""One tower of a model on a GPU: batches of a few prepared sizes, two of them under way at a time.

While one batch is computed, the next is copied in and the one before is copied out: each has a slot of
its own, with pinned memory on the host and a stream for its copies; the tower has the stream that all
are computed in. Whatever a batch needs was allocated, and run once, before the first one came.
"""

import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from math import prod
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector
from vendor_api.engine.base import EngineLost
from vendor_api.engine.buckets import pick_size
from vendor_api.engine.cuda_seam import Device, Stream

if TYPE_CHECKING:
    import torch
    from torch import Tensor

SLOTS = 2
"""Batches under way: a third would only wait."""

Form = tuple[int, ...]
"""The shape of an item."""

__all__ = ["SLOTS", "Form", "Tower", "TowerPlan"]


@dataclass(frozen=True, slots=True)
class TowerPlan:
    """What a tower is prepared for."""

    forms: tuple[Form, ...]
    """Shapes that an item may have."""
    sizes: tuple[int, ...]
    """Rows that a batch may have, rising."""
    dtype: "torch.dtype"
    """Of the items."""
    dimension: int
    graphs: bool = True
    """Whether a batch is one graph, or its kernels are launched one by one."""
    urgent: bool = False
    """Whether its kernels go before another tower's."""


@dataclass(frozen=True, slots=True)
class _Slot:
    """What a batch under way has for itself."""

    stream: Stream
    host_in: "Tensor"
    device_in: "Tensor"
    device_out: "Tensor"
    host_out: "Tensor"


class Tower:
    """float32[n, d] vectors of n items of one form; any thread may call."""

    def __init__(
        self, device: Device, embed: "Callable[[Tensor], Tensor]", plan: TowerPlan
    ) -> None:
        """Allocate, and run every size of every form. Raises MemoryError, and RuntimeError when `embed`
        cannot be captured.

        `embed`: float32[n, d] on the device of items there; what a row comes to must not depend on the
        other rows.
        """
        self._device = device
        self._embed = embed
        self._plan = plan
        self._stream = device.open_stream(urgent=plan.urgent)
        self.lost: str | None = None
        """Why nothing can be computed any more."""
        self._turn = threading.Lock()
        """Held while a batch is put into the tower's stream, never while it is computed."""
        self.batch_bytes = plan.sizes[-1] * max(prod(form) for form in plan.forms)
        self.batch_bytes *= plan.dtype.itemsize
        self._input = self._allocate_input(device.allocate)
        self._output = device.allocate((plan.sizes[-1], plan.dimension), _float32())
        self._free: SimpleQueue[_Slot] = SimpleQueue()
        for _ in range(SLOTS):
            self._free.put(self._make_slot())
        self._work: dict[tuple[int, Form], Callable[[], None]] = {}
        self._prepare()

    def __call__(self, items: NDArray[Any]) -> Vector:
        """The vectors. Raises ValueError for items of another form, and EngineLost."""
        if items.shape[1:] not in self._plan.forms:
            raise ValueError(f"no item of {items.shape[1:]} is computed here")
        most = self._plan.sizes[-1]
        starts = range(0, max(len(items), 1), most)
        return np.concatenate([self._encode(items[start : start + most]) for start in starts])

    def _encode(self, items: NDArray[Any]) -> Vector:
        slot = self._free.get()
        try:
            return self._pass_through(slot, items)
        except RuntimeError as error:
            # To ask is to wait for all that is under way, so the slot can be used again.
            if self._device.is_lost():
                self.lost = str(error).splitlines()[0]
                raise EngineLost(self.lost) from error
            raise
        finally:
            self._free.put(slot)

    def _pass_through(self, slot: _Slot, items: NDArray[Any]) -> Vector:
        count, form = len(items), items.shape[1:]
        arrived = _shape(slot.device_in, count, form)
        slot.stream.copy(arrived, self._stage(slot, items))
        there = slot.stream.mark()
        with self._turn:
            self._stream.await_mark(there)
            self._stream.copy(_shape(self._input, count, form), arrived)
            # Rows beyond `count` are what an earlier batch left; theirs are vectors that nobody reads.
            self._stream.run(self._work[pick_size(self._plan.sizes, count), form])
            self._stream.copy(slot.device_out[:count], self._output[:count])
            computed = self._stream.mark()
        slot.stream.await_mark(computed)
        slot.stream.copy(slot.host_out[:count], slot.device_out[:count])
        slot.stream.mark().wait()
        vectors: Vector = slot.host_out[:count].numpy().copy()
        return vectors

    def _stage(self, slot: _Slot, items: NDArray[Any]) -> "Tensor":
        """The items in pinned memory: where they are, if that is."""
        import torch

        given = torch.from_numpy(np.ascontiguousarray(items))
        if self._device.is_pinned(items):
            return given
        staged = _shape(slot.host_in, len(items), items.shape[1:])
        staged.copy_(given)
        return staged

    def _make_slot(self) -> _Slot:
        device, shape = self._device, (self._plan.sizes[-1], self._plan.dimension)
        return _Slot(
            device.open_stream(urgent=self._plan.urgent),
            self._allocate_input(device.allocate_host),
            self._allocate_input(device.allocate),
            device.allocate(shape, _float32()),
            device.allocate_host(shape, _float32()),
        )

    def _allocate_input(
        self, allocate: "Callable[[tuple[int, ...], torch.dtype], Tensor]"
    ) -> "Tensor":
        dtype = self._plan.dtype
        return allocate((self.batch_bytes // dtype.itemsize,), dtype)

    def _prepare(self) -> None:
        """The largest first: the memory of its graph is then enough for all others."""
        for form in sorted(self._plan.forms, key=prod, reverse=True):
            for size in reversed(self._plan.sizes):
                work = self._make_work(size, form)
                capture = self._stream.capture if self._plan.graphs else lambda work: work
                self._work[size, form] = capture(work)
                self(np.zeros((size, *form), dtype=_numpy(self._plan.dtype)))

    def _make_work(self, size: int, form: Form) -> Callable[[], None]:
        items, vectors = _shape(self._input, size, form), self._output[:size]

        def work() -> None:
            vectors.copy_(self._embed(items))

        return work


def _shape(flat: "Tensor", count: int, form: Sequence[int]) -> "Tensor":
    """The first `count` items of that form."""
    return flat[: count * prod(form)].view(count, *form)


def _float32() -> "torch.dtype":
    import torch

    return torch.float32


def _numpy(dtype: "torch.dtype") -> "np.dtype[Any]":
    import torch

    return torch.empty(0, dtype=dtype).numpy().dtype
