"""The demo teacher's data: captioned icons that hold no drawing of the client and no twin of one."""

import io
import json
import random
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from shared.icons.names import Naming
from shared.icons.plan import Plan
from shared.icons.render import Icon, render_png
from shared.icons.selection import Selection, distinct_icons, draw, find_candidates, identify

Masks = NDArray[np.float32]
"""float32[n, p]: how much ink each of p cells holds."""
SIDE = 128
"""Pixels a side of the rendered corpus: what the demo's client sends."""
MASK_SIDE = 32
TWIN_CORRELATION = 0.9
"""An icon whose ink mask correlates more than this with a client drawing is left out."""
HELD_OUT = 0.02
"""Share of the teacher's pairs kept for validation."""
VALIDATION_CONCEPTS = 60
CAPTIONS_PER_ICON = 12

STYLE_PHRASES = {
    "shaded": ("shaded icon", "3d icon", "glossy icon", "shaded drawing"),
    "flat": ("flat icon", "flat color icon", "colorful icon", "flat drawing"),
    "line": ("line icon", "outline icon", "thin line drawing", "line drawing"),
    "solid": ("solid icon", "filled icon", "black silhouette", "solid drawing"),
    "other": ("icon", "symbol", "pictogram", "drawing"),
}
PICTURE_PHRASES = ("picture", "photo", "image", "drawing", "icon")


@dataclass(frozen=True, slots=True)
class Pair:
    """One picture of the corpus and the captions it is trained with."""

    icon: Icon
    style: str
    name: str
    split: str


def write_corpus(
    plan: Plan, modules: Path, out: Path, *, seed: int = 0, workers: int = 2
) -> dict[str, int]:
    """Render the corpus to `out/images` and describe it in `out/pairs.jsonl`; returns the counts."""
    reserved = find_candidates(plan, modules, plan.classes)
    validation = choose_validation(plan, modules)
    pairs = list(admit_icons(plan, modules, validation, seed))
    with ProcessPoolExecutor(workers) as pool:
        images = pool.map(partial(_render, out=out), (pair.icon for pair in pairs), chunksize=256)
        client = pool.map(partial(_render, out=None), _icons(reserved), chunksize=256)
        held = pool.map(partial(_render, out=out), _icons(validation), chunksize=64)
        masks = np.stack(list(images))
        forbidden = np.stack(list(client))
        drawn = len(list(held))
    twins = find_twins(masks, forbidden)
    keywords = read_keywords(modules, plan)
    rng = random.Random(seed)  # noqa: S311
    rows = [_row(pair, keywords, rng) for pair, twin in zip(pairs, twins, strict=True) if not twin]
    rows += [
        {
            "image": _path(icon),
            "captions": [concept],
            "group": concept,
            "style": domain,
            "split": "concept",
        }
        for (domain, concept), icons in validation.items()
        for icon in icons
    ]
    text = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
    (out / "pairs.jsonl").write_text(text, encoding="utf-8")
    return {
        "pairs": len(pairs) - int(twins.sum()),
        "twins left out": int(twins.sum()),
        "client drawings": len(forbidden),
        "validation concepts": len({concept for _, concept in validation}),
        "validation pictures": drawn,
    }


def choose_validation(plan: Plan, modules: Path) -> Selection:
    """Pictures of concepts outside the classes, kept from the teacher exactly as the client's are."""
    found = find_candidates(plan, modules, plan.other_classes)
    complete = [
        concept
        for concept in sorted(plan.other_classes)
        if all(len(found.get((domain, concept), [])) >= 2 for domain in plan.domains)
    ]
    complete.sort(key=lambda concept: (-sum(len(found[d, concept]) for d in plan.domains), concept))
    kept = set(complete[:VALIDATION_CONCEPTS])
    return draw({key: icons for key, icons in found.items() if key[1] in kept}, at_most=10)


def admit_icons(plan: Plan, modules: Path, validation: Selection, seed: int) -> Iterator[Pair]:
    """Every icon the teacher may see: none of a reserved set whose name has a client or validation word."""
    naming, rng = Naming(plan), random.Random(seed)  # noqa: S311
    barred = {**plan.classes, **{c: plan.other_classes[c] for _, c in validation}}
    for package in plan.packages:
        if "teacher" not in package.role:
            continue
        reserved = package.icon_set in plan.reserved_sets
        for icon, style, clean in distinct_icons(modules, package.icon_set, naming):
            if not (reserved and naming.hits_class_word(clean, barred)):
                split = "validation" if rng.random() < HELD_OUT else "train"
                yield Pair(icon, style, clean, split)


def find_twins(masks: Masks, forbidden: Masks) -> NDArray[np.bool_]:
    """bool[n]: whether each ink mask (float[n, p]) is a copy of any of `forbidden` (float[m, p])."""
    best = [
        (_standardise(chunk) @ _standardise(forbidden).T).max(axis=1)
        for chunk in np.array_split(masks, max(1, len(masks) // 4096))
    ]
    return np.concatenate(best) > TWIN_CORRELATION


def read_keywords(modules: Path, plan: Plan) -> dict[str, list[str]]:
    """Emoji name, hyphenated → extra words people search it by."""
    source = plan.document["emoji_keywords"]
    path = modules / source["package"] / source["file"]
    rows = json.loads(path.read_text(encoding="utf-8"))
    return {row["label"].replace(" ", "-"): row.get("tags", []) for row in rows}


def write_captions(pair: Pair, keywords: dict[str, list[str]], rng: random.Random) -> list[str]:
    """Twelve captions: a third the bare name, a third with its style, a third plain; some with a keyword."""
    name = pair.name.replace("-", " ")
    phrases = [f"a {rng.choice(STYLE_PHRASES[pair.style])} of a {name}" for _ in range(4)]
    phrases += [f"a {rng.choice(PICTURE_PHRASES)} of a {name}" for _ in range(4)]
    phrases += [name] * (CAPTIONS_PER_ICON - len(phrases))
    tags = keywords.get(pair.name, [])
    return [
        f"{phrase} {rng.choice(tags)}" if tags and rng.random() < 0.2 else phrase
        for phrase in phrases
    ]


def _row(pair: Pair, keywords: dict[str, list[str]], rng: random.Random) -> dict[str, Any]:
    return {
        "image": _path(pair.icon),
        "captions": write_captions(pair, keywords, rng),
        "group": pair.name,
        "style": pair.style,
        "split": pair.split,
    }


def _icons(selection: Selection) -> Iterable[Icon]:
    return (icon for icons in selection.values() for icon in icons)


def _path(icon: Icon) -> str:
    return f"images/{icon.icon_set}/{identify(icon)}.png"


def _render(icon: Icon, out: Path | None) -> Masks:
    png = render_png(icon, SIDE)
    if out is not None:
        path = out / _path(icon)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png)
    with Image.open(io.BytesIO(png)) as image:
        small = np.asarray(
            image.convert("RGB").resize((MASK_SIDE, MASK_SIDE), Image.Resampling.BOX)
        )
    ink: Masks = (255 - small.min(axis=2)).astype(np.float32).ravel()
    return ink


def _standardise(masks: Masks) -> Masks:
    centred = masks - masks.mean(axis=1, keepdims=True)
    standard: Masks = centred / (np.linalg.norm(centred, axis=1, keepdims=True) + 1e-6)
    return standard
