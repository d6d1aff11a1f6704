"""When a lower precision may stand for a higher one."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from vendor_api.cli import app
from vendor_api.engine.precision_gate import compare_vectors


def unit(rows: np.ndarray) -> np.ndarray:
    return np.asarray(rows / np.linalg.norm(rows, axis=1, keepdims=True), dtype=np.float32)


@pytest.fixture
def vectors() -> np.ndarray:
    return unit(np.random.default_rng(0).normal(size=(200, 16)))


def test_equal_vectors_pass(vectors: np.ndarray) -> None:
    found = compare_vectors(vectors, vectors)
    assert found.passes
    assert found.top1 == 1
    assert found.least_cosine == pytest.approx(1)


def test_one_picture_that_moves_far_is_enough_to_fail(vectors: np.ndarray) -> None:
    other = vectors.copy()
    other[3] = unit(other[3:4] + 0.03)[0]
    found = compare_vectors(vectors, other)
    assert found.mean_cosine > 0.9999
    assert not found.passes


def test_a_small_turn_of_all_fails_by_the_classes_they_get(vectors: np.ndarray) -> None:
    texts = unit(np.random.default_rng(1).normal(size=(5, 16)))
    found = compare_vectors(vectors, vectors, texts, texts[::-1].copy())
    assert found.least_cosine == pytest.approx(1)
    assert not found.passes


def test_the_command_measures_a_model_on_a_folder(clip_folder: Path, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / name).mkdir()
        for number in range(4):
            noise = rng.integers(0, 256, (24, 24, 3), dtype=np.uint8)
            Image.fromarray(noise).save(tmp_path / name / f"{number}.png")
    words = ["precision", str(tmp_path), "--model", f"m=local-dir:{clip_folder}"]
    ran = CliRunner().invoke(app, [*words, "--json"])
    document = json.loads(ran.stdout)
    assert document["pictures"] == 8
    assert 0.99 < document["least_cosine"] <= 1.00001
    assert ran.exit_code == (0 if document["passes"] else 1)
    told = CliRunner().invoke(app, [*words, "--limit", "4"])
    assert told.stdout.startswith("4 pictures: cosine of bf16 to fp32")


def test_an_empty_folder_is_refused(tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["precision", str(tmp_path), "--model", "m=local-dir:x"])
    assert ran.exit_code == 1
    assert "holds 0 pictures" in ran.stderr
