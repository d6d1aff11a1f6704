"""`vl2v fetch` buys just what a training with fewer shots or queries reads, and no more."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cache import EmbeddingStore
from client.cli import app
from client.data import scan_folders, split_pictures
from client.data.choosing import choose_pictures
from client.data.shots import draw_shots
from tests.client.conftest import Command
from tests.client.standin import StandInVendor
from tests.client.train.study import CONFIG, draw_study


def fetch(command: Command, data: Path, *more: str):
    return command.run("fetch", str(data), "--model", "toy", "--budget", "1", *more)


def test_shots(command: Command, data: Path, vendor: StandInVendor) -> None:
    assert fetch(command, data, "--shots", "2", "--shot-seed", "5").returncode == 0
    manifest = scan_folders(data)
    rows = draw_shots(manifest, split_pictures(manifest).training, 2, seed=5)
    drawn = {manifest.pictures[row].digest for row in rows}
    assert drawn <= set(vendor.sold)
    assert len(vendor.sold) == len(drawn) + 2


def test_a_share_and_then_a_larger_one(command: Command, data: Path, vendor: StandInVendor) -> None:
    for share in ("0.25", "0.5"):
        more = ("--queries", share, "--selection", "stratified")
        assert fetch(command, data, *more).returncode == 0
    manifest = scan_folders(data)
    rows = list(split_pictures(manifest).training)
    chosen = choose_pictures(manifest, rows, 0.5, "stratified")
    assert len(vendor.sold) == len(set(vendor.sold)) == len(chosen) + 2


def test_a_share_of_nothing_buys_the_class_texts(
    command: Command, data: Path, store: EmbeddingStore
) -> None:
    assert fetch(command, data, "--queries", "0").returncode == 0
    assert (store.count(modality="image"), store.count(modality="text")) == (0, 2)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--queries", "2"), "--queries is a share between 0 and 1"),
        (("--shots", "0"), "--shots must be at least 1"),
        (("--views", "-1"), "--views cannot be negative"),
        (("--queries", "0.5", "--selection", "uncertainty"), "--scored-by RUN"),
        (("--shots", "2", "--purpose", "evaluation"), "leave out --shots"),
    ],
)
def test_what_cannot_be_bought_is_explained(
    command: Command, data: Path, words: tuple[str, ...], said: str, vendor: StandInVendor
) -> None:
    done = fetch(command, data, *words)
    assert done.returncode == 2
    assert said in " ".join(done.stderr.split())
    assert vendor.sold == []


def test_what_k_center_buys_is_what_training_reads(
    command: Command, tmp_path: Path, vendor: StandInVendor
) -> None:
    root = draw_study(tmp_path / "study")
    eyes = ("--student", CONFIG.student, "--image-size", str(CONFIG.image_size))
    rule = ("--queries", "0.5", "--selection", "k-center")
    assert fetch(command, root, "--target", "wash", *rule, *eyes).returncode == 0
    out = ("--out", str(tmp_path / "run"), "--steps", "1", "--batch", "4", "--threads", "1")
    words = ("train", str(root), "--model", "toy", "--target", "wash", *rule, *eyes, *out)
    done = CliRunner().invoke(app, list(words), env=command.environment)
    assert done.exit_code == 0, done.output


def test_what_a_text_only_student_is_unsure_of_is_bought_and_read(
    command: Command, tmp_path: Path, vendor: StandInVendor, store: EmbeddingStore
) -> None:
    root = draw_study(tmp_path / "study")
    scorer = str(tmp_path / "scorer")
    small = ("--student", CONFIG.student, "--image-size", "32", "--steps", "1", "--batch", "4")
    words = ("train", str(root), "--model", "toy", "--target", "wash", *small, "--threads", "1")

    def train(*more: str) -> None:
        done = CliRunner().invoke(app, [*words, *more], env=command.environment)
        assert done.exit_code == 0, done.output

    assert fetch(command, root, "--target", "wash", "--queries", "0").returncode == 0
    train("--method", "text-only", "--out", scorer)
    rule = ("--queries", "0.5", "--selection", "uncertainty", "--scored-by", scorer)
    assert fetch(command, root, "--target", "wash", *rule).returncode == 0
    bought = store.count(modality="image")
    assert 0 < bought < 36
    train("--method", "adip", *rule, "--out", str(tmp_path / "run"))
    assert store.count(modality="image") == bought == len(vendor.sold) - 3
