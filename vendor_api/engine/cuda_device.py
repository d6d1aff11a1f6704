"""A CUDA device as torch has it. Heavy: imports torch."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from vendor_api.engine.cuda_seam import Mark, Stream

WARM_RUNS = 2
"""Before a capture: libraries choose their kernels and take their working memory at first use."""
EXHAUSTED = ("out of memory", "ALLOC_FAILED")
"""What the driver's and the libraries' errors say when memory ran out; they have no type of their own."""

__all__ = ["CudaDevice"]


class CudaDevice:
    """`Device`: the one that torch takes by default, which CUDA_VISIBLE_DEVICES chooses."""

    def __init__(self) -> None:
        self.name = torch.cuda.get_device_name()
        self._pinned: list[tuple[int, int]] = []

    def open_stream(self, *, urgent: bool = False) -> Stream:
        """See `Device`."""
        stream = torch.cuda.Stream(priority=-1 if urgent else 0)  # type: ignore[no-untyped-call]
        return _Stream(stream)

    def allocate(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """See `Device`."""
        with _name_exhaustion():
            tensor = torch.zeros(shape, dtype=dtype, device="cuda")
            # They are written in a stream that others do not wait for.
            torch.cuda.synchronize()
            return tensor

    def allocate_host(self, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
        """See `Device`."""
        with _name_exhaustion():
            return torch.zeros(shape, dtype=dtype, pin_memory=True)

    def pin(self, memory: NDArray[np.uint8]) -> None:
        """See `Device`."""
        address = memory.ctypes.data
        runtime = torch.cuda.cudart()  # type: ignore[no-untyped-call]
        failed = int(runtime.cudaHostRegister(address, memory.nbytes, 0))
        if failed:
            raise MemoryError(f"{memory.nbytes} bytes cannot be pinned: CUDA's error {failed}")
        self._pinned.append((address, address + memory.nbytes))

    def is_pinned(self, array: NDArray[Any]) -> bool:
        """See `Device`."""
        first, last = array.ctypes.data, array.ctypes.data + array.nbytes
        return any(start <= first and last <= end for start, end in self._pinned)

    def count_bytes(self) -> int:
        """See `Device`."""
        return int(torch.cuda.memory_reserved())

    def is_lost(self) -> bool:
        """See `Device`: what broke the context is told again by everything that follows."""
        try:
            torch.cuda.synchronize()
        except RuntimeError:
            return True
        return False


class _Stream:
    """`Stream`."""

    def __init__(self, stream: "torch.cuda.Stream") -> None:
        self._stream = stream
        self._pool = torch.cuda.graph_pool_handle()

    def copy(self, to: Tensor, source: Tensor) -> None:
        with torch.cuda.stream(self._stream):
            to.copy_(source, non_blocking=True)

    def run(self, work: Callable[[], None]) -> None:
        with torch.cuda.stream(self._stream), _name_exhaustion():
            work()

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.stream(self._stream), _name_exhaustion():
            for _ in range(WARM_RUNS):
                work()
            self._stream.synchronize()
            # Another thread's allocation is no part of this work, and must not end the capture.
            graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
            try:
                work()
            except BaseException:
                with suppress(
                    RuntimeError
                ):  # what broke the capture says more than that it is broken
                    graph.capture_end()
                raise
            graph.capture_end()
        return graph.replay

    def mark(self) -> Mark:
        return _Mark(self._stream)

    def await_mark(self, mark: Mark) -> None:
        assert isinstance(mark, _Mark)  # noqa: S101  (marks never leave their device)
        self._stream.wait_event(mark.event)


class _Mark:
    """`Mark`."""

    def __init__(self, stream: "torch.cuda.Stream") -> None:
        # A thread that waits sleeps: several would keep the decoders off the cores.
        self.event = torch.cuda.Event(blocking=True)  # type: ignore[no-untyped-call]
        self.event.record(stream)

    def wait(self) -> None:
        self.event.synchronize()


@contextmanager
def _name_exhaustion() -> Iterator[None]:
    """Raise MemoryError for whatever an exhausted device makes torch raise."""
    try:
        yield
    except RuntimeError as error:
        said = str(error)
        if any(words in said for words in EXHAUSTED):
            raise MemoryError(said.splitlines()[0]) from error
        raise
