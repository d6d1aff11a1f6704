"""Between an API process and an engine's process: JSON in front, one array behind, in one message.

A batch of pictures is megabytes, and neither side can do anything while it is on its way: it is read
straight into the memory that it is computed from.
"""

import json
import socket
import struct
from typing import Any

import numpy as np
from numpy.typing import NDArray

_LENGTHS = struct.Struct("!II")
"""Octets of the JSON, and of the array."""
_NOTHING = np.zeros(0, np.uint8)

__all__ = ["Line"]


class Line:
    """One end of a connected pair of sockets; one thread speaks and listens at a time."""

    def __init__(self, end: socket.socket) -> None:
        self._socket = end

    def __del__(self) -> None:
        self._socket.close()

    def fileno(self) -> int:
        """For `multiprocessing.connection.wait`."""
        return self._socket.fileno()

    def close(self) -> None:
        """End it: the other side is told at once."""
        self._socket.close()

    def send(self, head: dict[str, Any], array: NDArray[Any] = _NOTHING) -> None:
        """Say `head`, with the array if there is one. Raises OSError when nobody listens any more."""
        words = json.dumps({**head, "dtype": array.dtype.str, "shape": array.shape}).encode()
        octets = np.ascontiguousarray(array).reshape(-1).view(np.uint8).data
        front = _LENGTHS.pack(len(words), len(octets)) + words
        sent = self._socket.sendmsg([front, octets]) - len(front)
        if sent < 0:
            self._socket.sendall(front[sent:])
        # Whoever has all of it may be gone by now, which even nothing could not be sent to.
        if rest := octets[max(sent, 0) :]:
            self._socket.sendall(rest)

    def receive(self) -> tuple[dict[str, Any], NDArray[Any]]:
        """What the other side said, in memory of its own. Raises EOFError or OSError when it has gone."""
        words, octets = _LENGTHS.unpack(self._read(_LENGTHS.size))
        head: dict[str, Any] = json.loads(self._read(words))
        # torch wants memory that it could write to: a bytearray is.
        array = np.frombuffer(self._read(octets), dtype=head.pop("dtype"))
        return head, array.reshape(head.pop("shape"))

    def _read(self, size: int) -> bytearray:
        data = bytearray(size)
        view = memoryview(data)
        while view:
            count = self._socket.recv_into(view, len(view), socket.MSG_WAITALL)
            if not count:
                raise EOFError
            view = view[count:]
        return data
