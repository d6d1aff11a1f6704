"""The demo teacher's trainer learns, stops, goes on, and ships what open_clip loads."""

import json

import numpy as np
import open_clip
import pytest
import torch
from PIL import Image

from vendor_api.demo.training import (
    TeacherConfig,
    augment,
    contrast,
    draw_shares,
    learning_rate,
    read_corpus,
    train_teacher,
)

CONFIG = TeacherConfig(steps=4, batch=8, warmup=2, lr=3e-4)


@pytest.fixture
def corpus(tmp_path):
    rng = np.random.default_rng(0)
    root = tmp_path / "corpus"
    root.mkdir()
    rows = []
    for i in range(12):
        pixels = rng.integers(0, 255, (40, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(root / f"{i}.png")
        rows.append(
            {"image": f"{i}.png", "captions": [f"thing {i % 6}", "a thing"], "group": str(i % 6)}
        )
    (root / "pairs.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return root


def test_pictures_of_one_group_are_positives_of_each_other():
    image = torch.eye(3)[[0, 0, 1]]
    text = torch.eye(3)[[0, 0, 1]]
    scale = torch.tensor(50.0)
    grouped = contrast(image, text, scale, torch.tensor([7, 7, 9]))
    apart = contrast(image, text, scale, torch.tensor([7, 8, 9]))
    # Equal vectors in one group are right; as negatives of each other they cost ln 2 for two of three.
    assert grouped.item() == pytest.approx(np.log(2) * 2 / 3, abs=1e-4)
    assert apart.item() == pytest.approx(np.log(2) * 2 / 3, abs=1e-4)
    crossed = contrast(image, text[[2, 0, 1]], scale, torch.tensor([7, 7, 9]))
    assert crossed.item() > 10


def test_the_learning_rate_warms_up_holds_and_falls():
    config = TeacherConfig(steps=100, warmup=10, decay=0.5, lr=1.0)
    rates = [learning_rate(step, config) for step in range(100)]
    assert rates[0] == pytest.approx(0.1)
    assert set(rates[10:50]) == {1.0}
    assert rates[50:] == sorted(rates[50:], reverse=True)
    assert rates[-1] < 0.01


def test_an_augmented_picture_keeps_its_white_paper():
    pixels = torch.full((4, 3, 16, 16), 255, dtype=torch.uint8)
    moved = augment(pixels, 12, torch.Generator().manual_seed(0))
    assert moved.shape == (4, 3, 12, 12)
    assert torch.allclose(moved, torch.ones_like(moved))


def test_ink_is_met_in_many_colours():
    pixels = torch.zeros((64, 3, 16, 16), dtype=torch.uint8)
    moved = augment(pixels, 16, torch.Generator().manual_seed(0))
    centres = moved[:, :, 8, 8]
    coloured = (centres.amax(1) - centres.amin(1)) > 0.1
    assert 10 < coloured.sum() < 54
    assert centres.min() >= -1
    assert centres.max() < 0.5


def test_a_rare_style_is_drawn_more_often_than_its_share():
    styles = np.array([0] * 90 + [1] * 10)
    shares = draw_shares(styles, 0.5)
    assert shares.sum() == pytest.approx(1)
    assert shares[styles == 1].sum() == pytest.approx(0.25)
    assert draw_shares(styles, 0.0)[styles == 1].sum() == pytest.approx(0.1)
    assert draw_shares(styles, 1.0)[styles == 1].sum() == pytest.approx(0.5)


def test_a_stopped_run_goes_on_exactly(corpus, tmp_path):
    class Stop(Exception):
        pass

    def stop(row):
        if row["step"] == 0:
            raise Stop

    whole = train_teacher(corpus, tmp_path / "whole", CONFIG, save_every=1)
    with pytest.raises(Stop):
        train_teacher(corpus, tmp_path / "parts", CONFIG, report=stop, save_every=1)
    parts = train_teacher(corpus, tmp_path / "parts", CONFIG, save_every=1)
    name = "open_clip_model.safetensors"
    assert (whole / name).read_bytes() == (parts / name).read_bytes()


def test_open_clip_loads_what_was_trained(corpus, tmp_path):
    folder = train_teacher(corpus, tmp_path / "run", CONFIG)
    model, _, preprocess = open_clip.create_model_and_transforms(f"local-dir:{folder}")
    tokens = read_corpus(corpus, "train").tokens
    with torch.inference_mode():
        vector = model.encode_text(tokens[:1].long())
    assert vector.shape == (1, 256)
    unused = torch.ones(49408, dtype=torch.bool)
    unused[tokens.unique().long()] = False
    assert not model.token_embedding.weight[unused].any()
    assert preprocess(Image.new("RGB", (128, 128))).shape == (3, 64, 64)


def test_a_folder_without_pairs_of_the_split_says_so(corpus):
    with pytest.raises(ValueError, match="no pair of split 'validation'"):
        read_corpus(corpus, "validation")
