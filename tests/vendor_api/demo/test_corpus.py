"""The demo teacher's data holds no drawing of the client, on small icon packages written here."""

import json
import random

import numpy as np
import pytest
from PIL import Image

from shared.icons import Naming, load_plan
from shared.icons.selection import identify
from vendor_api.demo.corpus import Pair, find_twins, write_captions, write_corpus

PLAN = load_plan()


def _shape(seed: int) -> str:
    rng = random.Random(seed)
    sides = [
        [rng.randint(0, 8), rng.randint(0, 8), rng.randint(2, 8), rng.randint(2, 8)]
        for _ in range(4)
    ]
    return "".join(f'<path fill="#000" d="M{x} {y}h{w}v{h}h-2z"/>' for x, y, w, h in sides)


@pytest.fixture
def modules(tmp_path):
    drawn = {
        "noto": {"cat": 1, "unicorn": 2, "pizza": 3},
        "fluent-emoji": {"pizza": 31},
        "fluent-emoji-high-contrast": {"cat": 4, "arrow": 5},
        "material-symbols": {"cat": 6, "unicorn": 2, "arrow": 7, "bell": 8},
    }
    for package in PLAN.packages:
        shapes = drawn.get(package.icon_set, {})
        icons = {name: {"body": _shape(seed)} for name, seed in shapes.items()}
        folder = tmp_path / "modules" / package.name
        folder.mkdir(parents=True)
        document = {"prefix": package.icon_set, "icons": icons, "width": 16, "height": 16}
        (folder / "icons.json").write_text(json.dumps(document), encoding="utf-8")
    source = PLAN.document["emoji_keywords"]
    path = tmp_path / "modules" / source["package"] / source["file"]
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps([{"label": "bell", "tags": ["ring"]}]), encoding="utf-8")
    return tmp_path / "modules"


def _images(out):
    lines = (out / "pairs.jsonl").read_text(encoding="utf-8").splitlines()
    return {row["image"].split("/")[-1].removesuffix(".png"): row for row in map(json.loads, lines)}


def test_no_client_drawing_and_no_twin_reaches_the_teacher(modules, tmp_path):
    out = tmp_path / "corpus"
    write_corpus(PLAN, modules, out, workers=1)
    seen = _images(out)
    assert "noto--cat" not in seen  # a client drawing
    assert "fluent-emoji-high-contrast--cat" not in seen  # the twin set's drawing of a class
    assert "material-symbols--unicorn" not in seen  # another set, but the same ink as noto's
    assert {"material-symbols--cat", "fluent-emoji-high-contrast--arrow", "noto--pizza"} <= set(
        seen
    )


def test_every_picture_named_is_there_and_square(modules, tmp_path):
    out = tmp_path / "corpus"
    write_corpus(PLAN, modules, out, workers=1)
    for row in _images(out).values():
        with Image.open(out / row["image"]) as image:
            assert image.size == (128, 128)


def test_a_twin_is_told_by_its_ink_not_its_shade():
    rng = np.random.default_rng(0)
    drawing = rng.random((1, 64)).astype(np.float32)
    other = rng.random((1, 64)).astype(np.float32)
    masks = np.concatenate([drawing * 0.5 + 3, other])
    assert find_twins(masks, drawing).tolist() == [True, False]


def test_captions_name_the_thing_and_its_style(modules):
    from shared.icons.render import read_icons

    icon = next(read_icons(modules / "@iconify-json" / "noto"))
    pair = Pair(icon, "line", "fire-truck", "train")
    captions = write_captions(pair, {"fire-truck": ["engine"]}, random.Random(0))
    assert all("fire truck" in caption for caption in captions)
    assert any("line" in caption for caption in captions)
    assert identify(icon) == "noto--cat"
    assert Naming(PLAN).concept_of("fire-truck") is None
