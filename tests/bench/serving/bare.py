"""What the machine can do with no server at all, run in a process of its own.

python -m tests.bench.serving.bare images|texts FOLDER PRECISION RUNTIME SECONDS
"""

import io
import json
import sys
import time

import numpy as np
from PIL import Image

from tests.bench.serving.pictures import Pictures
from vendor_api.engine.clip import ClipModel

BATCH = 16
WORDS = (
    *("dog", "cat", "house", "tree", "car", "boat", "bird", "horse"),
    *("fish", "cow", "man", "girl", "boy", "bus", "train", "beach"),
)

__all__ = ["main"]


def main(arguments: list[str]) -> None:
    """Print {"rate": items a second} and, of texts, how far the vectors are from open_clip's."""
    kind, folder, precision, runtime, seconds = arguments
    spec = f"local-dir:{folder}"
    model = ClipModel.load("bare", spec, precision, runtime)  # type: ignore[arg-type]
    measure = _measure_images if kind == "images" else _measure_texts
    print(json.dumps(measure(model, float(seconds))))


def _measure_images(model: ClipModel, seconds: float) -> dict[str, float]:
    """One after the other: decode and resize a batch, then the model."""
    pictures = Pictures()
    pictures.take(0)
    model.encode_images(np.zeros((BATCH, 224, 224, 3), dtype=np.uint8))
    began = time.perf_counter()
    done = 0
    while time.perf_counter() - began < seconds:
        files = (pictures.take(done + row) for row in range(BATCH))
        model.encode_images(np.stack([model.preprocess(Image.open(io.BytesIO(f))) for f in files]))
        done += BATCH
    return {"rate": done / (time.perf_counter() - began)}


def _measure_texts(model: ClipModel, seconds: float) -> dict[str, float]:
    """open_clip's own loop: every text padded to 77 tokens, 32 at a time."""
    import torch

    clip = model._clip
    texts = [make_text(number) for number in range(32)]
    began = time.perf_counter()
    done = 0
    with torch.inference_mode():
        while time.perf_counter() - began < seconds:
            vectors = clip.model.encode_text(clip.tokenizer(texts), normalize=True)  # type: ignore[operator]
            done += len(texts)
    rate = done / (time.perf_counter() - began)
    ours = model.encode_texts(model.tokenize(texts).tokens)
    return {"rate": rate, "difference": float(np.abs(vectors.float().numpy() - ours).max())}


def make_text(number: int) -> str:
    """A caption of some dozen tokens, unlike every other up to 16 ** 7."""
    return "a photo of " + " ".join(WORDS[number // 16**place % 16] for place in range(7))


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stdout.flush()
