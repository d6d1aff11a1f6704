"""The lines between a server and its engine's process: one batch at a time each, with a desk for pixels.

Pixels of a GPU's batches are laid on the line's desk
instead, memory that both processes have and the device copies from: they are copied once, not four
times, and in one call of the system, so that no thread waits for the interpreter in between.
"""

import math
import mmap
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.codecs import Vector
from vendor_api.engine.line import Line

Operation = Literal["images", "texts"]
Batch = NDArray[Any] | Sequence[NDArray[Any]]
PIECES = 1024
"""Items laid out in one call: what POSIX lets a call have."""

Group = tuple[tuple[Operation, ...], int]
"""What lines are for, and how many there are of them."""
TWO_LINES: tuple[Group, ...] = ((("images",), 1), (("texts",), 1))

__all__ = ["TWO_LINES", "Batch", "Group", "LineEnd", "Lines", "Operation", "WorkerLine"]


@dataclass(frozen=True, slots=True)
class LineEnd:
    """What a new process is told of its end of a line: numbers of open files."""

    line: int
    desk: int | None = None


class Lines:
    """The server's ends of all lines to one worker; any thread may ask."""

    def __init__(self, groups: Sequence[Group], *, desks: bool = False) -> None:
        """`desks`: whether pixels are laid on desks."""
        self._lines: list[_ServerLine] = []
        self._free: dict[Operation, SimpleQueue[_ServerLine]] = {}
        self.ends: list[LineEnd] = []
        """For the worker, until `hand_over`."""
        for operations, count in groups:
            free: SimpleQueue[_ServerLine] = SimpleQueue()
            self._free |= dict.fromkeys(operations, free)
            for _ in range(count):
                line, end = _open_line(desk=desks and "images" in operations)
                self._lines.append(line)
                self.ends.append(end)
                free.put(line)

    @property
    def files(self) -> list[int]:
        """What the worker must be given of this process's open files."""
        numbers = [(end.line, end.desk) for end in self.ends]
        return [number for pair in numbers for number in pair if number is not None]

    def hand_over(self) -> None:
        """Close here what the worker has now."""
        for number in self.files:
            os.close(number)
        self.ends = []

    @property
    def hello(self) -> Line:
        """What the worker says first comes here."""
        return self._lines[0].line

    def ask(self, operation: Operation, items: Batch) -> Vector:
        """The vectors of a batch, once a line is free for it. Raises what the model raises as ValueError
        or RuntimeError, and OSError or EOFError when the worker is gone."""
        free = self._free[operation]
        line = free.get()
        try:
            return line.ask(operation, items)
        finally:
            free.put(line)

    def close(self) -> None:
        """Close all, when the worker has ended."""
        for line in self._lines:
            line.close()


class WorkerLine:
    """The worker's end."""

    def __init__(self, end: LineEnd) -> None:
        self.line = Line(socket.socket(fileno=end.line))
        self._desk = end.desk
        self.memory: NDArray[np.uint8] | None = None
        """The desk, once it has been made."""

    def make_desk(self, size: int) -> "NDArray[np.uint8] | None":
        """Give the desk, if the line has one, `size` bytes, and return them."""
        if self._desk is not None:
            os.ftruncate(self._desk, size)
            self.memory = np.frombuffer(mmap.mmap(self._desk, size), dtype=np.uint8)
        return self.memory

    def receive(self) -> Iterator[tuple[Operation, NDArray[Any]]]:
        """The batches that come, until the server closes the line."""
        while True:
            try:
                head, items = self.line.receive()
            except (EOFError, OSError):
                return
            yield head["operation"], self._find(head["desk"]) if "desk" in head else items

    def answer(self, vectors: Vector) -> None:
        """Send a batch's vectors."""
        self.line.send({}, vectors.astype(np.float32, copy=False))

    def report(self, error: Exception) -> None:
        """Say why there are none."""
        kind = "item" if isinstance(error, ValueError) else "engine"
        self.line.send({"fault": kind, "reason": f"{type(error).__name__}: {error}"})

    def _find(self, shape: Sequence[int]) -> NDArray[np.uint8]:
        assert self.memory is not None  # noqa: S101  (the server lays pixels on desks that were made)
        return self.memory[: math.prod(shape)].reshape(shape)


class _ServerLine:
    """The server's end."""

    def __init__(self, line: Line, desk: int | None) -> None:
        self.line = line
        self._desk = desk
        self._use = threading.Lock()
        """Or a file that was closed, and whose number another file then has, might be written to."""

    def ask(self, operation: Operation, items: Batch) -> Vector:
        """See `Lines.ask`."""
        with self._use:
            self._send(operation, items)
            answer, vectors = self.line.receive()
        if "fault" not in answer:
            return vectors
        if answer["fault"] == "item":
            raise ValueError(answer["reason"])
        raise RuntimeError(answer["reason"])

    def close(self) -> None:
        """Close it once the batch that is on it has come back, or has been lost."""
        with self._use:
            self.line.close()
            if self._desk is not None:
                os.close(self._desk)
                self._desk = None

    def _send(self, operation: Operation, items: Batch) -> None:
        if operation == "images" and self._desk is not None:
            _lay_out(self._desk, items)
            shape = (len(items), *items[0].shape)
            self.line.send({"operation": operation, "desk": shape})
        else:
            self.line.send({"operation": operation}, np.asarray(items))


def _open_line(*, desk: bool) -> tuple[_ServerLine, LineEnd]:
    ours, theirs = socket.socketpair()
    shared = os.memfd_create("vl2v-pixels") if desk else None
    line = _ServerLine(Line(ours), shared)
    return line, LineEnd(theirs.detach(), None if shared is None else os.dup(shared))


def _lay_out(desk: int, items: Sequence[NDArray[Any]] | NDArray[Any]) -> None:
    pieces = [np.ascontiguousarray(item).data.cast("B") for item in items]
    place = 0
    for start in range(0, len(pieces), PIECES):
        some = pieces[start : start + PIECES]
        size = sum(len(piece) for piece in some)
        if os.pwritev(desk, some, place) != size:
            raise OSError("memory ran out where pixels are laid for the device")
        place += size
