"""From a decoded picture to the pixels that a model reads, the same on the vendor's side and the client's.

Heavy: imports torch and open_clip.
"""

import hashlib
import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image
from torchvision.transforms import Compose

from shared.probe import PROBE
from shared.wire import Preprocessing

BAND = 500_000
"""Pixels copied at a time: about a millisecond."""

__all__ = ["ModelNotFound", "PixelTransform", "hash_probe", "read_preprocessing"]


class ModelNotFound(ValueError):
    """No such model, or its files cannot be used; the message says what to type instead."""


class PixelTransform:
    """open_clip's evaluation transform up to uint8, made fast; normalising is the model's first layer."""

    def __init__(self, preprocessing: Preprocessing, fill: int = 0) -> None:
        self._size = preprocessing.image_size
        self._mode = preprocessing.resize_mode
        self._interpolation = preprocessing.interpolation
        cfg: dict[str, Any] = {
            "size": self._size,
            "mean": preprocessing.mean,
            "std": preprocessing.std,
            "interpolation": self._interpolation,
            "resize_mode": self._mode,
            "fill_color": fill,
        }
        transform = image_transform_v2(PreprocessCfg(**cfg), is_train=False)
        # The last two steps, to float and normalise, are the model's.
        self._reference = Compose(transform.transforms[:-2])

    def __call__(self, image: Image.Image) -> NDArray[np.uint8]:
        """uint8[size, size, 3]: at most one level from open_clip's own transform before it normalises.

        `image` may have any mode; only RGB and grey ones take the fast road. Any thread may call.
        """
        if image.mode not in ("RGB", "L") or self._mode != "shortest":
            return self._transform_exactly(image)
        # Pillow would copy what is RGB already.
        coloured = image if image.mode == "RGB" else image.convert("RGB")
        pixels = torch.from_numpy(_copy(coloured)).permute(2, 0, 1)[None]
        width, height = image.size
        target = self._target(height, width)
        # Each pass clips to 0..255, so their order shows: Pillow starts with the height of tall images.
        for size in [(target[0], width)] * (height > 2 * width) + [target]:
            if size != pixels.shape[2:]:
                pixels = F.interpolate(pixels, size, mode=self._interpolation, antialias=True)
        top, left = round((target[0] - self._size) / 2), round((target[1] - self._size) / 2)
        cropped = pixels[0, :, top : top + self._size, left : left + self._size]
        return cropped.permute(1, 2, 0).contiguous().numpy()

    def _transform_exactly(self, image: Image.Image) -> NDArray[np.uint8]:
        plain = image.copy()
        # Pillow drops it on the way to RGB in any case, with a warning when it is a palette's.
        plain.info.pop("transparency", None)
        return np.array(self._reference(plain).convert("RGB"))

    def _target(self, height: int, width: int) -> tuple[int, int]:
        """Size after the resize; the long side is cut down, not rounded, as torchvision does."""
        if height <= width:
            return self._size, int(self._size * width / height)
        return int(self._size * height / width), self._size


def _copy(image: Image.Image) -> NDArray[np.uint8]:
    """uint8[h, w, 3]. Pillow keeps the interpreter while it copies: no other thread waits longer than
    for a band."""
    width, height = image.size
    pixels = np.empty((height, width, 3), dtype=np.uint8)
    rows = max(1, BAND // width)
    for top in range(0, height, rows):
        end = min(top + rows, height)
        band = image if rows >= height else image.crop((0, top, width, end))
        pixels[top:end] = np.asarray(band)
    return pixels


def hash_probe(transform: PixelTransform) -> str:
    """64 hexadecimal digits: SHA-256 of what becomes of `shared.probe.PROBE`.

    Two sides that get the same decode and resize alike, whatever versions of libraries they have.
    """
    with Image.open(io.BytesIO(PROBE)) as image:
        return hashlib.sha256(transform(image).tobytes()).hexdigest()


def read_preprocessing(cfg: Mapping[str, Any]) -> Preprocessing:
    """open_clip's description of a model's preprocessing as the vendor publishes it.

    Raises ModelNotFound for pictures that are not square.
    """
    return Preprocessing(
        image_size=_square(cfg["size"]),
        resize_mode=str(cfg["resize_mode"]),
        interpolation="bilinear" if cfg["interpolation"] == "bilinear" else "bicubic",
        mean=_three(cfg["mean"]),
        std=_three(cfg["std"]),
    )


def _square(size: int | Sequence[int]) -> int:
    sides = {size} if isinstance(size, int) else set(size)
    if len(sides) != 1:
        raise ModelNotFound(f"only models of square images are served, not {size}")
    return int(sides.pop())


def _three(values: Any) -> tuple[float, float, float]:
    r, g, b = values if isinstance(values, (list, tuple)) else (values,) * 3
    return float(r), float(g), float(b)
