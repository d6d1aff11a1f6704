"""The pictures as one uint8 array, decoded once and kept in memory."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.data.manifest import Manifest
from client.data.views import flatten
from client.train.errors import TrainingError

Pixels = NDArray[np.uint8]
"""uint8[n, s, s, 3]."""
THREADS = 4

__all__ = ["Pixels", "decode_manifest", "decode_picture"]


def decode_manifest(manifest: Manifest, side: int) -> Pixels:
    """Every picture of the manifest, in its order, at `side` pixels. Raises TrainingError."""
    pixels = np.empty((len(manifest.pictures), side, side, 3), dtype=np.uint8)

    def fill(row: int) -> None:
        pixels[row] = decode_picture(manifest.root / manifest.pictures[row].path, side)

    with ThreadPoolExecutor(THREADS) as pool:
        list(pool.map(fill, range(len(pixels))))
    return pixels


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
