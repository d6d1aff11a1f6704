"""What a bench leaves for the record."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from client.demo.folds import Folds, _words, record_results
from client.demo.story import Story
from client.train.config import TrainConfig


@pytest.fixture
def bench(tmp_path):
    """Two comparisons as `vl2v bench` leaves them."""
    for name, method in (("shots-4", "erm"), ("shots-all", "adip")):
        folder = tmp_path / name
        folder.mkdir()
        config = replace(TrainConfig(method=method), lr=0.001, weights="/home/me/w.safetensors")
        line = {
            "method": method,
            "args": config.document(),
            "weights": "/home/me/w.safetensors",
            "provenance": {"commit": "c0ffee"},
        }
        (folder / "results.jsonl").write_text(json.dumps(line) + "\n")
        (folder / "table.md").write_text(f"| {method} |\n")
    return tmp_path


def test_the_record_holds_every_line_with_its_commit_and_no_path(bench, tmp_path):
    file = tmp_path / "kept" / "results.jsonl"
    record_results([bench / "shots-4", bench / "shots-all"], file)
    text = file.read_text()
    assert "/home/me" not in text
    lines = [json.loads(line) for line in text.splitlines()]
    assert [line["method"] for line in lines] == ["erm", "adip"]
    assert {line["provenance"]["commit"] for line in lines} == {"c0ffee"}
    # What differs from the defaults, and only that.
    assert lines[0]["args"] == {"method": "erm", "lr": 0.001}
    assert lines[1]["args"] == {"lr": 0.001}
    assert lines[1]["weights"] == "w.safetensors"


def test_the_tables_lie_beside_it(bench, tmp_path):
    file = tmp_path / "results.jsonl"
    record_results([bench / "shots-4", bench / "shots-all"], file)
    text = file.with_suffix(".md").read_text()
    assert text.index("## shots-4") < text.index("| erm |") < text.index("## shots-all")


def test_each_comparison_has_a_folder_of_its_own():
    folds = Folds(Story(out=Path("demo-out")), preset="core")
    assert folds.folder("4") == Path("demo-out/bench-core/shots-4")
    assert folds.folder("all") != folds.folder("4")


def test_without_trials_every_method_has_the_same_fixed_settings():
    story = Story(out=Path("demo-out"))
    chosen, fixed = (_words(Folds(story, trial_steps=steps), "4") for steps in (50, 0))
    assert "--select" in chosen
    assert "--lr" not in chosen
    assert "--select" not in fixed
    assert fixed[fixed.index("--lr") + 1] == "0.001"
    assert fixed[fixed.index("--lambda") + 1] == "0.1"


def test_with_all_labels_erm_has_the_rate_at_which_it_learns():
    few, whole = (_words(Folds(Story(Path("out")), trial_steps=0), shots) for shots in ("4", "all"))
    assert "--rate" not in few
    assert whole[whole.index("--rate") + 1] == "erm=3e-4"


def test_a_named_comparison_has_a_folder_of_its_own():
    assert Folds(Story(Path("out"))).folder("all") == Path("out/bench-full/shots-all")
    assert Folds(Story(Path("out")), name="long").folder("all") == Path("out/bench-long/shots-all")
