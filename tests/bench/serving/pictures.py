"""JPEGs as the web has them, as many different ones as are asked for."""

import io
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from PIL import Image

WEB = (500, 375)
HUGE = (4000, 3000)

__all__ = ["HUGE", "WEB", "Pictures", "make_jpeg"]


def make_jpeg(size: tuple[int, int], seed: int) -> bytes:
    """Quality 90, 4:2:0, with the falling spectrum of photographs."""
    rng = np.random.default_rng(seed)
    width, height = size
    field = np.zeros((height, width, 3))
    for scale in (4, 8, 16, 32, 64, 128):
        coarse = rng.normal(size=(height // scale + 2, width // scale + 2, 3))
        picture = Image.fromarray(np.clip(coarse * 40 + 128, 0, 255).astype(np.uint8))
        smooth = picture.resize((width, height), Image.Resampling.BICUBIC)
        field += (np.asarray(smooth, dtype=np.float64) - 128) * scale**0.5
    field = 128 + field * (55 / field.std())
    buffer = io.BytesIO()
    pixels = np.clip(field, 0, 255).astype(np.uint8)
    Image.fromarray(pixels).save(buffer, "JPEG", quality=90, subsampling=2)
    return buffer.getvalue()


@dataclass(frozen=True)
class Pictures:
    """A few pictures, each in endless copies that differ in a comment: no cache can know them."""

    size: tuple[int, int] = WEB
    kinds: int = 16

    @cached_property
    def _files(self) -> list[bytes]:
        return [make_jpeg(self.size, seed) for seed in range(self.kinds)]

    def take(self, number: int) -> bytes:
        """Picture `number`, unlike every other."""
        data = self._files[number % self.kinds]
        comment = f"number {number}".encode()
        return data[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + data[2:]
