"""Who an endpoint without revisions is, found out by asking it about things that never change."""

import io
from collections.abc import Sequence

import numpy as np
from PIL import Image

from client.api import ImageInput, Input, TextInput
from shared.codecs import Vector, decode_base64, encode_base64
from shared.revision import hash_json, join_hashes
from shared.wire import Modality

ALIKE = 0.9999
"""Cosine of two answers of the same weights: half precision and other batch sizes stay above it."""
STEP = 0.05
"""Vectors are rounded to multiples of it before they name a revision."""

__all__ = ["PROBES", "are_alike", "name_revision", "pack_probes", "unpack_probes"]


def _draw_picture() -> bytes:
    """A PNG of 96 × 64 pixels: neither square nor smooth, so that resizing and cropping show."""
    y, x = np.mgrid[0:64, 0:96]
    waves = [128 + 100 * np.sin(x / a + y / b) for a, b in ((3, 11), (9, -5), (17, 2))]
    out = io.BytesIO()
    Image.fromarray(np.stack(waves, axis=-1).astype(np.uint8)).save(out, "PNG")
    return out.getvalue()


PROBES: dict[Modality, tuple[Input, ...]] = {
    "text": (TextInput("a photo of a dog"), TextInput("two red squares, one blue ring: Größe 3")),
    "image": (ImageInput(_draw_picture()),),
}


def name_revision(model: str, url: str, probes: Sequence[Vector]) -> str:
    """16 hexadecimal digits for these answers of this model at this address."""
    rounded = [np.rint(probe / STEP).astype(int).tolist() for probe in probes]
    return join_hashes(hash_json([model, url, rounded]))


def are_alike(one: Sequence[Vector], other: Sequence[Vector]) -> bool:
    """Whether the same weights may have said both. Rounding alone would tell them apart by chance."""
    if len(one) != len(other):
        return False
    pairs = zip(one, other, strict=True)
    return all(len(a) == len(b) and float(a @ b) >= ALIKE for a, b in pairs)


def pack_probes(probes: Sequence[Vector]) -> tuple[str, ...]:
    """The answers as a document holds them."""
    return tuple(encode_base64(probe) for probe in probes)


def unpack_probes(packed: Sequence[str]) -> list[Vector]:
    """The answers that a document holds."""
    return [decode_base64(text) for text in packed]
