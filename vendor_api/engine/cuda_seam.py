"""What an engine on a GPU asks of it: memory, streams in which work is done in order, marks between them.

Torch's tensors are the currency on both sides; `cuda_device` is the real thing.
"""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

__all__ = ["Device", "Mark", "Stream"]


class Mark(Protocol):
    """A point in a stream's work."""

    def wait(self) -> None:
        """Block this thread, and no other, until the work before it is done."""
        ...


class Stream(Protocol):
    """Work that is done in the order in which it is given, beside all other streams'."""

    def copy(self, to: "Tensor", source: "Tensor") -> None:
        """Copy between host and device, or on it; returns at once where the host's side is pinned."""
        ...

    def run(self, work: Callable[[], None]) -> None:
        """Do `work`, whose kernels go into this stream."""
        ...

    def capture(self, work: Callable[[], None]) -> Callable[[], None]:
        """What does `work` again, to be given to `run`: as one graph of kernels on the same memory.

        Graphs of one stream share their memory, so nothing may be read from it but what `work` has
        copied into tensors of its own. Raises MemoryError, and RuntimeError for work that waits for
        the device in its midst.
        """
        ...

    def mark(self) -> Mark:
        """The point after what has been given so far."""
        ...

    def await_mark(self, mark: Mark) -> None:
        """Do what is given from now on after another stream's mark."""
        ...


class Device(Protocol):
    """One GPU."""

    name: str

    def open_stream(self, *, urgent: bool = False) -> Stream:
        """A stream of its own; the work of an urgent one is begun first."""
        ...

    def allocate(self, shape: tuple[int, ...], dtype: "torch.dtype") -> "Tensor":
        """Zeros on the device. Raises MemoryError."""
        ...

    def allocate_host(self, shape: tuple[int, ...], dtype: "torch.dtype") -> "Tensor":
        """Pinned memory of the host. Raises MemoryError."""
        ...

    def pin(self, memory: NDArray[np.uint8]) -> None:
        """Pin memory that was made elsewhere, for as long as this process lives. Raises MemoryError."""
        ...

    def is_pinned(self, array: NDArray[Any]) -> bool:
        """Whether it lies in memory that `pin` was given."""
        ...

    def count_bytes(self) -> int:
        """Of the device's memory, what this process has taken."""
        ...

    def is_lost(self) -> bool:
        """Whether nothing can be computed any more but by another process."""
        ...
