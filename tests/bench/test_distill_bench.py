"""Distillation's bench runs from end to end; what it measures depends on the machine, so nothing here
does."""

import json

import pytest

from client.cache import EmbeddingStore
from tests.bench.distill import main
from tests.client.train.study import buy_study, draw_study

TINY = [
    "--model",
    "toy",
    "--target",
    "wash",
    "--student",
    "test_efficientnet",
    "--image-size",
    "32",
]
TINY += ["--holdout", "0.34", "--batch", "6", "--views", "1", "--published-steps", "20"]
TINY += ["--measured", "2", "--steps", "2", "--rounds", "2"]


@pytest.fixture
def study(tmp_path):
    """The toy study's folder and cache."""
    root = draw_study(tmp_path / "study")
    with EmbeddingStore.open(tmp_path / "client.db") as store:
        buy_study(store, root)
    return [str(root), "--cache", str(tmp_path / "client.db")]


def test_it_reports_both_comparisons(study, capsys):
    main([*study, *TINY, "--json"])
    report = json.loads(capsys.readouterr().out)
    align, step = report["align"], report["step"]
    assert 0 <= align["published_accuracy"] <= 1
    assert align["fits"].keys() == {"search", "exact"}
    for fit in align["fits"].values():
        assert fit["ratio"] == pytest.approx(align["published_seconds"] / fit["seconds"])
        assert 0 <= fit["accuracy"] <= 1
    assert {len(times) for times in step["rounds"].values()} == {2}
    assert step["ratio"] > 0


def test_it_prints_a_table(study, capsys):
    main([*study, *TINY])
    *_, line = capsys.readouterr().out.strip().splitlines()
    assert line.startswith("| Distill step of 6, ms |")
