"""A small study of shapes and a real vendor of a teacher that knows shapes, served from a thread."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import structlog
import uvicorn
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from shared.codecs import Vector
from tests.ledger.tiny import DIMENSION, INFO, SIDE, TinyPreparation
from vendor_api.app import create_app
from vendor_api.engine.base import ModelInfo, ServedModel
from vendor_api.engine.batcher import Batcher
from vendor_api.logs import configure_logs
from vendor_api.server import bind, configure, url_of
from vendor_api.settings import VendorSettings

CLASSES = ("bar", "post", "cross")
INKS = {"ink": (10, 10, 10), "pale": (120, 120, 170), "wash": (190, 60, 40)}
EACH = 10


def draw_shapes(root: Path) -> Path:
    """`root/domain/class/<n>.png`, 32 × 32: stripes across, down, or both, in each domain's ink."""
    rng = np.random.default_rng(0)
    for domain, ink in INKS.items():
        for label in CLASSES:
            folder = root / domain / label
            folder.mkdir(parents=True)
            for number, place in enumerate(rng.permutation(144)[:EACH]):
                x, y = 6 + int(place) // 12, 6 + int(place) % 12
                draw(label, ink, x, y).save(folder / f"{number}.png")
    return root


def draw(label: str, ink: tuple[int, int, int], x: int = 14, y: int = 14) -> Image.Image:
    """One picture."""
    image = Image.new("RGB", (32, 32), "white")
    pen = ImageDraw.Draw(image)
    if label in ("bar", "cross"):
        pen.rectangle((2, y, 29, y + 5), fill=ink)
    if label in ("post", "cross"):
        pen.rectangle((x, 2, x + 5, 29), fill=ink)
    return image


@dataclass
class ShapeModel:
    """Sees how dark a picture's rows and columns are; a class's word means its middle picture."""

    info: ModelInfo = INFO

    def __post_init__(self) -> None:
        self.info = replace(INFO, prompt_templates=("a {}", "one {}"), logit_scale=20.0)
        self._map = np.random.default_rng(1).normal(size=(2 * SIDE, DIMENSION))
        pictures = [TinyPreparation().preprocess(draw(name, (10, 10, 10))) for name in CLASSES]
        seen = self.encode_images(np.stack(pictures))
        self._words = {_word_id(name): row for name, row in zip(CLASSES, seen, strict=True)}

    def encode_images(self, pixels: NDArray[np.uint8]) -> Vector:
        dark = 1 - pixels.astype(np.float64).mean(axis=3) / 255
        profile = np.concatenate((np.sort(dark.mean(1)), np.sort(dark.mean(2))), axis=1)
        profile /= np.linalg.norm(profile, axis=1, keepdims=True)
        return _unit((profile - profile.mean(axis=1, keepdims=True)) @ self._map)

    def encode_texts(self, tokens: NDArray[np.int32]) -> Vector:
        rows = [sum(self._words.get(int(t), 0 * self._map[0]) for t in row) for row in tokens]
        return _unit(np.stack(rows))


@contextmanager
def serve_shapes(database_url: str, pepper_file: Path) -> Iterator[str]:
    """The vendor's whole application behind HTTP until the block ends; yields its address."""
    settings = VendorSettings(
        database_url=database_url, key_pepper_file=pepper_file, audit_seconds=0
    )
    model = ShapeModel()
    engine = Batcher(model)
    served = {INFO.id: ServedModel(model.info, TinyPreparation(), engine)}
    with closing(bind("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(configure(create_app(settings, engines=served)))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        configure_logs(json=False, level="critical")  # stdout is the commands' here
        thread.start()
        try:
            yield url_of(listening)
        finally:
            server.should_exit = True
            thread.join()
            engine.close(30)
            structlog.reset_defaults()


def _word_id(word: str) -> int:
    return int.from_bytes(hashlib.sha256(word.encode()).digest()[:3], "big")


def _unit(vectors: NDArray[np.float64]) -> Vector:
    return np.asarray(vectors / np.linalg.norm(vectors, axis=1, keepdims=True), dtype=np.float32)
