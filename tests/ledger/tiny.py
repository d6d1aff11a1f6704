"""A tiny model without torch, steered through files so that a test can reach it in another process."""

import hashlib
import os
import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.codecs import Vector
from shared.tokens import TokenizedTexts
from shared.wire import Preprocessing
from vendor_api.engine.base import ModelInfo

MODEL = "icon-clip"
DIMENSION = 16
CONTEXT = 12
SIDE = 8
POISON = 255
"""A picture of this one level is an item that the model refuses."""

INFO = ModelInfo(
    id=MODEL,
    revision="0123456789abcdef",
    dimension=DIMENSION,
    context_length=CONTEXT,
    precision="fp32",
    logit_scale=10.0,
    preprocessing=Preprocessing(
        image_size=SIDE,
        resize_mode="shortest",
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    prompt_templates=("{}",),
    created=1,
)


@dataclass
class TinyModel:
    """Vectors from each item's bytes; waits while `home/gate` exists, notes each batch in `home/calls`."""

    home: Path
    info: ModelInfo = INFO

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        self._enter("image", len(pixels))
        if any((picture == POISON).all() for picture in pixels):
            raise ValueError("a poisoned picture")
        return np.stack([make_vector(picture) for picture in pixels])

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        self._enter("text", len(tokens))
        return np.stack([make_vector(row) for row in tokens])

    def _enter(self, lane: str, items: int) -> None:
        # One short append a batch: whole, even if the process is killed next.
        calls = os.open(self.home / "calls", os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        os.write(calls, f"{lane} {items}\n".encode())
        os.close(calls)
        deadline = time.monotonic() + 60
        while (self.home / "gate").exists() and time.monotonic() < deadline:
            time.sleep(0.003)


def make_vector(item: NDArray[Any]) -> Vector:
    """float32[16] of unit length, fixed by the item's bytes."""
    seed = int.from_bytes(hashlib.sha256(item.tobytes()).digest()[:8], "big")
    vector = np.random.default_rng(seed).normal(size=DIMENSION)
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


class TinyPreparation:
    """Pictures shrink to 8 × 8; a word's token is made of its letters."""

    def preprocess(self, image: Image.Image) -> NDArray[np.uint8]:
        return np.asarray(image.convert("RGB").resize((SIDE, SIDE)))

    def tokenize(self, texts: Sequence[str]) -> TokenizedTexts:
        words = [re.findall(r"\w+", text) for text in texts]
        tokens = np.zeros((len(words), CONTEXT), dtype=np.int32)
        for row, given in enumerate(words):
            ids = [int.from_bytes(hashlib.sha256(w.encode()).digest()[:3], "big") for w in given]
            tokens[row, : min(len(ids), CONTEXT)] = ids[:CONTEXT]
        return TokenizedTexts(
            tokens,
            tuple(len(given) > CONTEXT for given in words),
            tuple(min(len(given), CONTEXT) for given in words),
        )
