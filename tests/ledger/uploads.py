"""What people upload by mistake, or not by mistake."""

import random
import struct
import zlib
from io import BytesIO

from PIL import Image


def chunk(kind: bytes, data: bytes) -> bytes:
    """One chunk of a PNG file."""
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int = 60_000) -> bytes:
    """A valid PNG of side × side grey pixels: some kilobytes here, gigabytes when decoded."""
    head = struct.pack(">IIBBBBB", side, side, 8, 0, 0, 0, 0)
    squeezed = zlib.compressobj(9)
    row = bytes(side + 1)
    body = b"".join(squeezed.compress(row) for _ in range(side // 100)) + squeezed.flush()
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")


def too_long(side: int = 20_001) -> bytes:
    """A picture with more pixels a side than are taken."""
    buffer = BytesIO()
    Image.new("L", (side, 1)).save(buffer, "PNG")
    return buffer.getvalue()


def corrupt(seed: int) -> bytes:
    """A JPEG whose header is good and whose second half is missing."""
    rng = random.Random(seed)
    image = Image.new("RGB", (64, 64))
    image.putdata([(rng.randrange(256), rng.randrange(256), 0) for _ in range(64 * 64)])
    buffer = BytesIO()
    image.save(buffer, "JPEG")
    return buffer.getvalue()[: buffer.tell() // 2]


def animation(frames: int = 5_000, kind: str = "GIF") -> bytes:
    """So many frames of eight by eight pixels."""
    pictures = [Image.new("L", (8, 8), n % 256) for n in range(frames)]
    buffer = BytesIO()
    pictures[0].save(buffer, kind, save_all=True, append_images=pictures[1:])
    return buffer.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 10 10\n(/etc/passwd) run\nshowpage\n%%EOF\n"
"""A program, whatever its file is called."""


def nested_tiff(depth: int = 1_000) -> bytes:
    """A TIFF whose directories point at each other, the last at the first."""
    size, first = 2 + 12 + 4, 8
    parts = [b"II*\0", struct.pack("<I", first)]
    for level in range(depth):
        here = first + level * size
        following = first + ((level + 1) % depth) * size
        entry = struct.pack("<HHII", 0x014A, 4, 1, here)  # SubIFDs
        parts.append(struct.pack("<H", 1) + entry + struct.pack("<I", following))
    return b"".join(parts)


def multipart(parts: int = 100_000) -> bytes:
    """A form with so many fields."""
    field = b'--x\r\ncontent-disposition: form-data; name="a"\r\n\r\n1\r\n'
    return field * parts + b"--x--\r\n"
