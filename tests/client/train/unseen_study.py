"""A small study of eight classes, four of them unseen in each class split, with everything bought."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image

from client.budget import Batch, Journal, Settlement
from client.cache import EmbeddingStore
from client.data import scan_folders
from client.data.descriptions import load_descriptions
from client.train.config import TrainConfig
from client.train.experiment import Experiment, open_experiment
from client.train.li_study import UnseenPlan
from shared.digests import digest_text
from tests.client.train.study import CONFIG, DIMENSION, MODEL, TEXT_NANOUSD, buy_study, unit

CLASSES = ("ant", "bee", "cod", "doe", "eel", "fox", "gnu", "hen")
DOMAINS = ("ink", "wash")
EACH = 9
UNSEEN_CONFIG: TrainConfig = replace(CONFIG, method="li", targets=(), steps=2, batch=8)
PLAN = UnseenPlan(UNSEEN_CONFIG, ("li-naive", "li"), splits=2, shots=(0, 2), shot_steps=1)


def draw_classes(root: Path) -> Path:
    """`root/domain/class/<n>.png`: a pattern a class, its own noise and a shade a domain."""
    rng = np.random.default_rng(0)
    for shade, domain in zip((0, 60), DOMAINS, strict=True):
        for number, label in enumerate(CLASSES):
            folder = root / domain / label
            folder.mkdir(parents=True)
            pattern = np.kron((np.arange(16) >> number % 4 & 1).reshape(4, 4), np.ones((8, 8)))
            for index in range(EACH):
                noise = rng.integers(0, 40, size=(32, 32, 3))
                light = 150 * pattern[:, :, None] + [0, 5 * number, shade]
                pixels = (light + noise).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{index}.png")
    return root


def describe_classes(file: Path, store: EmbeddingStore) -> Path:
    """A descriptions file of every class, its texts bought."""
    text = ", ".join(f'"{name}": "legs and {name}"' for name in CLASSES)
    file.write_text(f"{{{text}}}", encoding="utf-8")
    buy_texts(store, list(load_descriptions(file).texts(CLASSES).values()), "described")
    return file


def caption_pictures(file: Path, store: EmbeddingStore, root: Path) -> Path:
    """A captions file of every picture, the captions bought."""
    rows = [{"path": p.path, "caption": f"this is {p.path}"} for p in scan_folders(root).pictures]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    buy_texts(store, [row["caption"] for row in rows], "captions")
    return file


def buy_texts(store: EmbeddingStore, texts: list[str], key: str) -> None:
    """Seeded vectors of these texts, as one settled batch."""
    rng = np.random.default_rng(len(texts))
    vectors = {digest_text(text): unit(rng.normal(size=DIMENSION)) for text in texts}
    journal, cost = Journal(store.database), TEXT_NANOUSD * len(vectors)
    names = ("tests", key, MODEL.id, MODEL.revision)
    journal.plan(Batch(*names, "text", "training", tuple(vectors), cost))
    journal.mark_sent(key)
    journal.settle(key, Settlement(cost))
    store.put_many(MODEL.revision, "text", vectors)


def open_classes(root: Path, store: EmbeddingStore) -> Experiment:
    """The study, bought and open."""
    buy_study(store, root)
    return open_experiment(root, UNSEEN_CONFIG, store)


def digests_of(root: Path, classes) -> list[bytes]:
    """The pictures of some classes."""
    return [p.digest for p in scan_folders(root).pictures if p.label in classes]
