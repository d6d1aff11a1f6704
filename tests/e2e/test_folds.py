"""`make bench` and the last test on a few pictures: real processes, real teacher."""

import io
import json
from typing import Any

import pytest
from rich.console import Console

from client.demo.final import Final, run_final
from client.demo.folds import Folds, run_folds
from client.demo.story import Story

SMALL: dict[str, Any] = {
    "classes": 3,
    "per_class": 8,
    "steps": 4,
    "batch": 8,
    "student": "test_efficientnet",
}


@pytest.mark.slow
@pytest.mark.timeout(1200)
def test_a_comparison_is_recorded_and_a_fifth_style_tested_once(tmp_path):
    story, screen = Story(out=tmp_path, **SMALL), Console(file=io.StringIO(), width=150)
    record = tmp_path / "kept" / "results.jsonl"
    short: dict[str, Any] = {"preset": "smoke", "seeds": 1, "steps": 4, "trial_steps": 2}
    folds = Folds(story, **short, targets=("solid",), record=record)
    assert "| text-only |" in run_folds(folds, screen)
    lines = [json.loads(line) for line in record.read_text().splitlines()]
    assert [line["method"] for line in lines] == ["zero-shot", "text-only", "erm"]
    assert {line["provenance"]["torch"] is not None for line in lines} == {True}

    final = Final(story, **short)
    document = run_final(final, screen)
    assert document["styles"] == ["pixel"]
    assert [row["method"] for row in document["rows"]] == ["zero-shot", "text-only", "erm"]
    written = (final.folder / "final.json").stat().st_mtime_ns
    assert run_final(final, screen) == document
    assert (final.folder / "final.json").stat().st_mtime_ns == written
