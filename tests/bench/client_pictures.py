"""Pictures by the hundred thousand: real PNGs, each different, made without a drawing library."""

import random
import struct
import zlib
from pathlib import Path

DOMAINS = 4
CLASSES = 10

__all__ = ["make_png", "write_pictures"]


def make_png(number: int, side: int) -> bytes:
    """A picture of `side` × `side` pixels of noise that no other number has; about 3 side² bytes."""
    noise = random.Random(number).randbytes(3 * side * side)
    rows = b"".join(
        b"\0" + noise[start : start + 3 * side] for start in range(0, len(noise), 3 * side)
    )
    size = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", size), (b"IDAT", zlib.compress(rows, 1)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(kind, data) for kind, data in parts)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def write_pictures(root: Path, count: int, side: int, *, seed: int = 0) -> Path:
    """`root/domain/class/number.png`, so many."""
    for number in range(count):
        folder = root / f"domain{number % DOMAINS}" / f"class{number // DOMAINS % CLASSES}"
        if number < DOMAINS * CLASSES:
            folder.mkdir(parents=True)
        (folder / f"picture-{number:07}.png").write_bytes(make_png(seed * 10**9 + number, side))
    return root
