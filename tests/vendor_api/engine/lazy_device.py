"""A GPU without a GPU: its streams do nothing until somebody waits for them, and then no more than that.

Whoever reads too early, or writes over what is still to be read, gets wrong numbers here each time; on
a real device, once in a while.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vendor_api.engine.cuda_seam import Mark, Stream

__all__ = ["LazyDevice"]


class LazyDevice:
    """`Device` on the processor; says what it was asked for."""

    def __init__(self, *, capacity: int = 1 << 40, capturable: bool = True) -> None:
        self.name = "a lazy device"
        self.capacity = capacity
        """Bytes that may be allocated."""
        self.capturable = capturable
        self.failing = False
        """Whether all that is run fails."""
        self.lost = False
        self.said: list[str] = []
        """copy, run, capture, each with its stream's number, in the order in which they were given."""
        self.sources: list[int] = []
        """The address of what each copy copies."""
        self.urgent: list[bool] = []
        self.lock = threading.RLock()
        self._taken = 0
        self._pinned: list[tuple[int, int]] = []

    def open_stream(self, *, urgent: bool = False) -> Stream:
        self.urgent.append(urgent)
        return _Stream(self, len(self.urgent))

    def allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        # What is there at first must not matter.
        tensor = torch.full(shape, 77, dtype=dtype)
        self._taken += tensor.nbytes
        if self._taken > self.capacity:
            raise MemoryError("the lazy device is full")
        return tensor

    def allocate_host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        return torch.full(shape, 77, dtype=dtype)

    def pin(self, memory: NDArray[np.uint8]) -> None:
        self._pinned.append((memory.ctypes.data, memory.nbytes))

    def is_pinned(self, array: NDArray[Any]) -> bool:
        return any(start <= array.ctypes.data < start + size for start, size in self._pinned)

    def count_bytes(self) -> int:
        return self._taken

    def is_lost(self) -> bool:
        return self.lost

    def say(self, what: str, stream: "_Stream") -> None:
        with self.lock:
            self.said.append(f"{what} {stream.number}")


class _Stream:
    def __init__(self, device: LazyDevice, number: int) -> None:
        self.device = device
        self.number = number
        self.given = 0
        self.reached = 0
        self._waiting: deque[Callable[[], None]] = deque()

    def copy(self, to: Tensor, source: Tensor) -> None:
        self.device.say("copy", self)
        self.device.sources.append(source.data_ptr())
        self._give(lambda: _copy(to, source))

    def run(self, work: Callable[[], None]) -> None:
        self.device.say("run", self)
        if self.device.failing:
            raise RuntimeError("an illegal memory access was encountered")
        self._give(work)

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        if not self.device.capturable:
            raise RuntimeError("operation not permitted when stream is capturing")
        self.device.say("capture", self)
        work()
        return work

    def mark(self) -> Mark:
        return _Mark(self, self.given)

    def await_mark(self, mark: Mark) -> None:
        self._give(mark.wait)

    def reach(self, place: int) -> None:
        with self.device.lock:
            while self.reached < place:
                work = self._waiting.popleft()
                self.reached += 1
                work()

    def _give(self, work: Callable[[], None]) -> None:
        with self.device.lock:
            self._waiting.append(work)
            self.given += 1


class _Mark:
    def __init__(self, stream: _Stream, place: int) -> None:
        self._stream, self._place = stream, place

    def wait(self) -> None:
        self._stream.reach(self._place)


def _copy(to: Tensor, source: Tensor) -> None:
    to.copy_(source)
