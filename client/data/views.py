"""Augmented views that are bought: which crop a number means, and how it is drawn.

A view is a pure function of (digest of the file, number), so that the client can show the student
the very crop whose vector it holds, and draw the same bytes again after a crash.
"""

import hashlib
import io
import math
from dataclasses import dataclass
from typing import Any

import PIL
from PIL import Image

SCHEME = "crop-v1"
MIN_AREA = 0.7
"""Smallest share of the picture that a crop keeps (VL2V-ADiP's 0.7–1.0)."""
MAX_ASPECT = math.log(4 / 3)
RENDERER = f"pillow-{PIL.__version__}"
"""What drew a view: another version may give other bytes, which are another purchase."""

__all__ = [
    "MAX_ASPECT",
    "MIN_AREA",
    "RENDERER",
    "SCHEME",
    "Crop",
    "bound_bytes",
    "draw_view",
    "find_crop",
    "flatten",
    "name_view",
    "name_views",
    "read_number",
]


@dataclass(frozen=True, slots=True)
class Crop:
    """A part of a picture, in shares of its width and height, mirrored or not."""

    left: float
    top: float
    width: float
    height: float
    mirrored: bool


def name_view(number: int) -> str:
    """The cache's name of view `number`, counted from 0."""
    return f"{SCHEME}-{number}"


def name_views(count: int) -> tuple[str, ...]:
    """The first `count` views: fewer are always a part of more."""
    return tuple(map(name_view, range(count)))


def read_number(view: str) -> int:
    """The number in a view's name. Raises ValueError for the name of no crop."""
    scheme, _, number = view.rpartition("-")
    if scheme != SCHEME or not number.isdigit():
        raise ValueError(f"{view!r} is no view of {SCHEME}: it is written like {name_view(0)}")
    return int(number)


def find_crop(digest: bytes, number: int) -> Crop:
    """The crop that view `number` of the file with this digest is.

    Area 0.7–1 of the picture, aspect within √(3/4)–√(4/3) of its own, anywhere, mirrored in half of
    the cases: the distribution that `train` draws its random crops from.
    """
    area, aspect, across, down, side = _draw(digest, number)
    edge = math.sqrt(MIN_AREA + (1 - MIN_AREA) * area)
    stretch = math.exp((aspect - 0.5) * MAX_ASPECT)
    width, height = min(1.0, edge * stretch), min(1.0, edge / stretch)
    return Crop(across * (1 - width), down * (1 - height), width, height, side < 0.5)


def draw_view(data: bytes, digest: bytes, number: int, side: int) -> bytes:
    """PNG of `side` × `side` pixels: view `number` of the encoded picture `data`.

    What is transparent becomes white, as in training. Raises OSError or ValueError when `data` is
    no readable image.
    """
    with Image.open(io.BytesIO(data)) as image:
        picture = flatten(image)
    crop = find_crop(digest, number)
    width, height = picture.size
    box = (
        crop.left * width,
        crop.top * height,
        (crop.left + crop.width) * width,
        (crop.top + crop.height) * height,
    )
    view = picture.resize((side, side), Image.Resampling.BICUBIC, box=box)
    if crop.mirrored:
        view = view.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    out = io.BytesIO()
    view.save(out, "PNG")
    return out.getvalue()


def bound_bytes(side: int) -> int:
    """Most bytes that a view of this size can have, known before it is drawn."""
    raw = side * (3 * side + 1)
    return raw + raw // 1000 + 1024


def flatten(image: Any) -> Image.Image:
    """The opened image as RGB on white."""
    if not image.has_transparency_data:
        plain: Image.Image = image.convert("RGB")
        return plain
    layer = image.convert("RGBA")
    opaque = Image.new("RGBA", layer.size, "white")
    opaque.alpha_composite(layer)
    return opaque.convert("RGB")


def _draw(digest: bytes, number: int) -> tuple[float, ...]:
    """Five numbers in [0, 1)."""
    bits = hashlib.sha512(f"{SCHEME}:{digest.hex()}:{number}".encode()).digest()
    return tuple(int.from_bytes(bits[i : i + 8], "big") / 2**64 for i in range(0, 40, 8))
