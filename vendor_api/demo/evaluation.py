"""What the demo teacher can tell apart without having been taught: zero-shot accuracy per style."""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.codecs import Vector
from vendor_api.demo.corpus import STYLE_PHRASES

if TYPE_CHECKING:
    from shared.openclip import OpenClip

PLAIN_TEMPLATES = ("{}", "a picture of a {}", "an image of a {}", "a drawing of a {}")
STYLE_TEMPLATES = tuple(
    f"a {phrase} of a {{}}"
    for style in ("shaded", "flat", "line", "solid")
    for phrase in STYLE_PHRASES[style][:2]
)
PROMPT_SETS: dict[str, tuple[tuple[str, ...], bool]] = {
    "plain": (PLAIN_TEMPLATES, False),
    "plain and style": (PLAIN_TEMPLATES + STYLE_TEMPLATES, False),
    "synonyms, plain": (PLAIN_TEMPLATES, True),
    "synonyms, plain and style": (PLAIN_TEMPLATES + STYLE_TEMPLATES, True),
}
"""Name → (templates, whether a class's synonyms are prompted too)."""


@dataclass(frozen=True, slots=True)
class LabelledPicture:
    """One picture to classify."""

    path: Path
    label: str
    style: str


@dataclass(frozen=True, slots=True)
class Accuracy:
    """Mean per-class accuracy, as shares of one, by style and over the styles."""

    by_style: dict[str, float]
    mean: float


def read_validation(root: Path) -> list[LabelledPicture]:
    """The corpus's validation concepts: outside the client's classes, drawn in the client's sets."""
    lines = (root / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [row for row in map(json.loads, lines) if row["split"] == "concept"]
    return [LabelledPicture(root / row["image"], row["group"], row["style"]) for row in rows]


def read_folders(root: Path) -> list[LabelledPicture]:
    """Every picture of a `style/class/picture.png` tree."""
    return [
        LabelledPicture(path, path.parent.name, path.parent.parent.name)
        for path in sorted(root.glob("*/*/*.png"))
    ]


def encode_pictures(teacher: "OpenClip", pictures: Sequence[LabelledPicture]) -> Vector:
    """float32[n, d] unit vectors of the pictures, preprocessed as the vendor does."""
    batches = []
    for start in range(0, len(pictures), 64):
        pixels = [_preprocess(teacher, picture.path) for picture in pictures[start : start + 64]]
        batches.append(teacher.encode_images(np.stack(pixels)))
    return np.concatenate(batches)


def encode_classes(
    teacher: "OpenClip", words: Mapping[str, Sequence[str]], templates: Sequence[str]
) -> Vector:
    """float32[k, d]: per class the normalised mean of its normalised prompt vectors."""
    rows = []
    for names in words.values():
        prompts = [template.format(name) for name in names for template in templates]
        mean = teacher.encode_texts(teacher.tokenize(prompts).tokens).mean(axis=0)
        rows.append(mean / np.linalg.norm(mean))
    return np.stack(rows)


def measure_accuracy(
    images: Vector, classes: Vector, pictures: Sequence[LabelledPicture], names: Sequence[str]
) -> Accuracy:
    """Zero-shot accuracy of unit vectors against unit class vectors."""
    predicted = np.argmax(images @ classes.T, axis=1)
    hits: dict[tuple[str, str], list[bool]] = defaultdict(list)
    for picture, guess in zip(pictures, predicted, strict=True):
        hits[picture.style, picture.label].append(names[int(guess)] == picture.label)
    styles = sorted({style for style, _ in hits})
    by_style = {
        style: float(np.mean([np.mean(found) for (s, _), found in hits.items() if s == style]))
        for style in styles
    }
    return Accuracy(by_style, float(np.mean(list(by_style.values()))))


def compare_prompts(
    teacher: "OpenClip", pictures: Sequence[LabelledPicture], words: Mapping[str, Sequence[str]]
) -> dict[str, Accuracy]:
    """Accuracy of every prompt set on the same pictures."""
    images = encode_pictures(teacher, pictures)
    results = {}
    for name, (templates, synonyms) in PROMPT_SETS.items():
        chosen = words if synonyms else {label: (label,) for label in words}
        classes = encode_classes(teacher, chosen, templates)
        results[name] = measure_accuracy(images, classes, pictures, list(words))
    return results


def _preprocess(teacher: "OpenClip", path: Path) -> NDArray[np.uint8]:
    with Image.open(path) as image:
        return teacher.preprocess(image.convert("RGB"))
