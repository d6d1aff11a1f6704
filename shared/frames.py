"""Several files or texts in one body: each as its length, four octets little-endian, and its octets."""

import struct
from collections.abc import Iterable

FRAMES = "application/vnd.vl2v.frames"
TENSOR = "application/x-tensor"
OCTETS = "application/octet-stream"
"""Media types of the binary routes."""

_LENGTH = struct.Struct("<I")

__all__ = ["FRAMES", "OCTETS", "TENSOR", "pack_frames", "unpack_frames"]


def pack_frames(parts: Iterable[bytes]) -> bytes:
    """The parts in order. Raises ValueError for one of 4 GiB or more."""
    pieces: list[bytes] = []
    for index, part in enumerate(parts):
        if len(part) >= 1 << 32:
            raise ValueError(f"part {index} has {len(part)} bytes: a frame holds less than 4 GiB")
        pieces += (_LENGTH.pack(len(part)), part)
    return b"".join(pieces)


def unpack_frames(body: bytes) -> list[bytes]:
    """What `pack_frames` was given. Raises ValueError, naming the frame, when the body ends inside one."""
    parts: list[bytes] = []
    place = 0
    while place < len(body):
        if len(body) - place < _LENGTH.size:
            raise ValueError(f"the body ends inside the length of frame {len(parts)}")
        (size,) = _LENGTH.unpack_from(body, place)
        place += _LENGTH.size
        if len(body) - place < size:
            raise ValueError(
                f"frame {len(parts)} says {size} bytes, {len(body) - place} are left in the body"
            )
        parts.append(body[place : place + size])
        place += size
    return parts
