"""The pictures as one uint8 array, decoded once: in memory, or in a file that is mapped into it."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.data.manifest import Manifest
from client.data.views import flatten
from client.train.errors import TrainingError

Pixels = NDArray[np.uint8]
"""uint8[n, s, s, 3]; in memory, or a file's (`pixel_cache.py`)."""
Report = Callable[[str, int, int], None]
THREADS = 4
CHUNK = 64
"""Pictures between two reports."""

__all__ = [
    "PixelRows",
    "PixelSelection",
    "Pixels",
    "Report",
    "decode_chunks",
    "decode_manifest",
    "decode_picture",
]


class PixelRows(Protocol):
    """uint8[n, s, s, 3], read where it is indexed by a slice or by positions."""

    def __len__(self) -> int: ...

    def __getitem__(self, rows: Any, /) -> Pixels: ...


@dataclass(frozen=True)
class PixelSelection:
    """Some pictures of many, copied only when they are asked for."""

    pixels: PixelRows
    rows: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, rows: Any, /) -> Pixels:
        return self.pixels[self.rows[rows]]


def decode_manifest(
    manifest: Manifest, side: int, report: Report = lambda stage, done, total: None
) -> Pixels:
    """Every picture of the manifest, in its order, at `side` pixels. Raises TrainingError."""
    pixels = np.empty((len(manifest.pictures), side, side, 3), dtype=np.uint8)
    start = 0
    for chunk in decode_chunks(manifest, side, report):
        pixels[start : start + len(chunk)] = chunk
        start += len(chunk)
    return pixels


def decode_chunks(manifest: Manifest, side: int, report: Report) -> Iterator[Pixels]:
    """The same a few pictures at a time, in constant memory. Raises TrainingError."""
    files = [manifest.file(picture) for picture in manifest.pictures]
    with ThreadPoolExecutor(THREADS) as pool:
        for start in range(0, len(files), CHUNK):
            report("decode", start, len(files))
            chunk = files[start : start + CHUNK]
            yield np.stack(list(pool.map(decode_picture, chunk, repeat(side))))
    report("decode", len(files), len(files))


def decode_picture(file: Path, side: int) -> Pixels:
    """uint8[side, side, 3] of one image, squashed to a square; what is transparent becomes white.

    Raises TrainingError when the file is no readable image.
    """
    try:
        with Image.open(file) as image:
            image_rgb = flatten(image)
    except (OSError, ValueError, Image.DecompressionBombError) as error:
        raise TrainingError(f"{file} cannot be read as an image: {error}") from error
    return np.asarray(image_rgb.resize((side, side), Image.Resampling.BICUBIC))
