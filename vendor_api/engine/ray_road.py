"""The frames that an API process and its gateway to the Ray cluster exchange, and how they can fail."""

import asyncio
import struct
from dataclasses import dataclass
from typing import Literal

Kind = Literal["hello", "refusal", "state", "ask", "withdraw", "reply", "lost", "full"]
_KINDS: tuple[Kind, ...] = (
    "hello",
    "refusal",
    "state",
    "ask",
    "withdraw",
    "reply",
    "lost",
    "full",
)
_HEAD = struct.Struct("!BQI")

__all__ = ["Frame", "Kind", "QueuesFull", "ReplicaLost", "read_frame", "write_frame"]


class ReplicaLost(Exception):
    """Whoever computed an ask is gone, and its answer with it: nothing was charged, another may do it."""


class QueuesFull(Exception):
    """Every replica has as much under way as it may, and as much waits for them as may."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One message; `number` says which ask it belongs to."""

    kind: Kind
    number: int = 0
    data: bytes = b""


async def read_frame(reader: asyncio.StreamReader) -> Frame:
    """The next frame. Raises IncompleteReadError or OSError when the other side is gone."""
    kind, number, length = _HEAD.unpack(await reader.readexactly(_HEAD.size))
    return Frame(_KINDS[kind], number, await reader.readexactly(length))


def write_frame(writer: asyncio.StreamWriter, frame: Frame) -> None:
    """Put a frame on its way; to a side that is gone it is lost, as `read_frame` will say."""
    writer.write(_HEAD.pack(_KINDS.index(frame.kind), frame.number, len(frame.data)))
    writer.write(frame.data)
