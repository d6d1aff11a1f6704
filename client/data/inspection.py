"""Whether a file is an image that a teacher can be asked about, found out before it is sent."""

import io
from pathlib import Path

from PIL import Image, UnidentifiedImageError

from client.data.manifest import Inspection
from shared.digests import digest_image

FORMATS = ("JPEG", "PNG", "WEBP")
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp"})
MAX_PIXELS = 89_478_485
"""Pillow's own bound against decompression bombs."""
MAX_FILE_BYTES = 256_000_000
"""A file beyond it is not read into memory to be looked at."""

__all__ = ["FORMATS", "MAX_FILE_BYTES", "MAX_PIXELS", "SUFFIXES", "find_problem", "inspect_file"]


def inspect_file(path: Path) -> Inspection:
    """The file's digest when it decodes as JPEG, PNG or WebP, else the reason in a few words."""
    try:
        size = path.stat().st_size
        if size > MAX_FILE_BYTES:
            return Inspection(None, f"{size:,} bytes are more than {MAX_FILE_BYTES:,}")
        data = path.read_bytes()
    except OSError as error:
        return Inspection(None, f"cannot be read: {error.strerror or error}")
    problem = find_problem(data)
    return Inspection(None, problem) if problem else Inspection(digest_image(data))


def find_problem(data: bytes) -> str | None:
    """Why a teacher cannot be asked about these bytes, in a few words; None when it can."""
    if not data:
        return "the file is empty"
    try:
        with Image.open(io.BytesIO(data), formats=FORMATS) as image:
            width, height = image.size
            if width * height > MAX_PIXELS:
                return f"{width} × {height} pixels are too many"
            # A truncated JPEG shows only when decoded; at an eighth of the size that is quick.
            image.draft("RGB", (max(1, width // 8), max(1, height // 8)))
            image.load()
    except UnidentifiedImageError:
        return "no readable JPEG, PNG or WebP image"
    except Exception as error:
        # Decoders raise many types on hostile bytes; each means the same to the user.
        return f"the image is damaged: {error}"
    return None
