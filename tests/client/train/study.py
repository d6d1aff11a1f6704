"""A small study with everything bought: drawn pictures, seeded vectors, a journal of what they cost."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from client.budget import Batch, Budgets, Journal, Settlement
from client.cache import EmbeddingStore
from client.data import build_prompts, scan_folders, split_pictures
from client.train.config import TrainConfig
from client.train.experiment import Experiment, open_experiment
from client.train.recipe import Job
from client.train.runs import RunFolder
from shared.digests import digest_text
from shared.wire import Modality, ModelDocument, Preprocessing

DOMAINS = ("ink", "pale", "wash")
CLASSES = ("bar", "dot", "ring")
EACH = 6
DIMENSION = 16
IMAGE_NANOUSD = 100_000
TEXT_NANOUSD = 10_000
MODEL = ModelDocument(
    id="toy",
    created=0,
    owned_by="tests",
    revision="0123456789abcdef",
    dimension=DIMENSION,
    context_length=8,
    precision="fp32",
    logit_scale=20.0,
    preprocessing=Preprocessing(
        image_size=32,
        resize_mode="shortest",
        interpolation="bicubic",
        mean=(0.5, 0.5, 0.5),
        std=(0.5, 0.5, 0.5),
    ),
    prompt_templates=["a {}", "a picture of a {}"],
    price_per_image_usd="0.000100000",
    price_per_text_usd="0.000010000",
)
CONFIG = TrainConfig(
    method="adip",
    targets=("wash",),
    student="test_efficientnet",
    model="toy",
    image_size=32,
    steps=4,
    batch=6,
    warmup=1,
    align_views=1,
    holdout=0.34,
)


def draw_study(root: Path, domains: Sequence[str] = DOMAINS) -> Path:
    """`root/domain/class/<n>.png`: three shapes in inks of their own, each picture different."""
    rng = np.random.default_rng(0)
    inks = {"ink": (10, 10, 10), "pale": (150, 150, 190), "wash": (190, 60, 40)}
    for domain in domains:
        for label in CLASSES:
            folder = root / domain / label
            folder.mkdir(parents=True)
            for number, place in enumerate(rng.permutation(100)[:EACH]):
                x, y = 2 + int(place) // 10, 2 + int(place) % 10
                image = Image.new("RGB", (32, 32), "white")
                _draw(ImageDraw.Draw(image), label, x, y, inks[domain])
                image.save(folder / f"{number}.png")
    return root


def buy_study(store: EmbeddingStore, root: Path, *, seed: int = 0) -> None:
    """Everything that training and evaluating the teacher read, as `vl2v fetch` leaves it."""
    manifest = scan_folders(root)
    split = split_pictures(manifest, seed=CONFIG.split_seed, holdout=CONFIG.holdout)
    rng = np.random.default_rng(seed)
    store.put_model(MODEL)
    Budgets(store.database).set_cap("tests", 10_000_000_000)
    prompts = build_prompts(manifest.classes, templates=MODEL.prompt_templates)
    classes = {name: unit(rng.normal(size=DIMENSION)) for name in manifest.classes}
    texts = {
        digest_text(text): unit(classes[name] + 0.1 * rng.normal(size=DIMENSION))
        for name, words in prompts.items()
        for text in words
    }
    images = {
        picture.digest: unit(classes[picture.label] + 0.3 * rng.normal(size=DIMENSION))
        for picture in manifest.pictures
    }
    learned = {manifest.pictures[i].digest for i in split.training}
    buy(store, "text", texts, "training", TEXT_NANOUSD)
    buy(store, "image", {d: v for d, v in images.items() if d in learned}, "training")
    buy(store, "image", {d: v for d, v in images.items() if d not in learned}, "evaluation")


def buy(store, modality: Modality, vectors, purpose, price=IMAGE_NANOUSD, name="") -> None:
    """One settled batch and its vectors; a further one of the same kind has a name."""
    journal, key = Journal(store.database), f"{modality}-{purpose}{name}"
    cost = price * len(vectors)
    journal.plan(
        Batch("tests", key, MODEL.id, MODEL.revision, modality, purpose, tuple(vectors), cost)
    )
    journal.mark_sent(key)
    journal.settle(key, Settlement(cost))
    store.put_many(MODEL.revision, modality, vectors, purpose=purpose)


def make_job(experiment: Experiment, out: Path, **changes) -> Job:
    """A run of the study with some settings changed; `stop` and `report` go to the job."""
    seams = {name: changes.pop(name) for name in ("stop", "report", "world") if name in changes}
    config = replace(CONFIG, **changes)
    return Job(
        config=config,
        fold=experiment.fold(config.targets, config),
        pixels=experiment.pixels(config.image_size),
        teacher=experiment.teacher(config),
        folder=RunFolder(out),
        **seams,
    )


def open_study(root: Path, store: EmbeddingStore) -> Experiment:
    """The study, scanned and split."""
    return open_experiment(root, CONFIG, store)


def unit(vector) -> np.ndarray:
    """The vector as float32 at length one."""
    return np.asarray(vector / np.linalg.norm(vector), dtype=np.float32)


def _draw(pen: ImageDraw.ImageDraw, label: str, x: int, y: int, ink: tuple[int, int, int]) -> None:
    box = (x, y, x + 16, y + 16)
    if label == "bar":
        pen.rectangle((x, y + 5, x + 16, y + 11), fill=ink)
    elif label == "dot":
        pen.ellipse(box, fill=ink)
    else:
        pen.ellipse(box, outline=ink, width=3)
