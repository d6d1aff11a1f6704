"""Interrupted and resumed is uninterrupted, bit for bit: after every step, and after kill -9."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from client.train.config import TrainConfig
from client.train.errors import Interrupted, TrainingError
from client.train.recipe import run_training
from client.train.recipes import resolve_config
from client.train.runs import RunFolder
from tests.client.train.study import CONFIG, make_job

ROOT = Path(__file__).parents[3]
SWAD: dict[str, Any] = {"averaging_kind": "swad", "evaluations": 30}
PAPER: dict[str, Any] = {
    name: getattr(resolve_config("paper"), name)
    for name in ("sampling", "lr", "schedule", "warmup", "weight_decay", "align", "recipe")
}
CASES: dict[str, dict[str, Any]] = {
    "ema": {"accumulate": 3},
    "swad": {**SWAD, "steps": 14, "lr": 0.05, "accumulate": 2},
    "none": {"averaging_kind": "none", "method": "kd", "batchnorm": "updated"},
    "ema that re-estimates": {"batchnorm": "updated", "method": "lp-ft"},
    "search": {"align": "search", "method": "kd"},
    "paper": {**PAPER, **SWAD, "batch": 2, "steps": 5},
    "paper with labels": {
        **PAPER,
        **SWAD,
        "batch": 2,
        "steps": 3,
        "method": "lp-ft",
        "accumulate": 2,
    },
    "bf16": {"precision": "bf16", "averaging_kind": "swad", "evaluations": 30},
}


def _written(folder: RunFolder):
    """All that a run leaves, except how long it took."""
    line = {**folder.result(), "seconds": 0}
    return folder.student.read_bytes(), folder.answers.read_bytes(), line, folder.metrics()


def _run_by_single_steps(experiment, out, **changes) -> int:
    """Stop after every step and go on as another process would; how often it was stopped."""
    for stops in range(100):
        asked = iter([False, True])
        job = make_job(experiment, out, stop=lambda asked=asked: next(asked), **changes)
        try:
            run_training(job)
        except Interrupted:
            continue
        return stops
    raise AssertionError("it never ends")


@pytest.mark.parametrize("name", CASES)
def test_stopped_after_every_step_is_uninterrupted(experiment, tmp_path, name):
    changes = CASES[name]
    whole = make_job(experiment, tmp_path / "whole", **changes)
    line = run_training(whole)
    aligning = whole.config.steps if whole.config.align == "steps" else 0
    stops = _run_by_single_steps(experiment, tmp_path / "parts", **changes)
    # The last step is followed by no question.
    assert stops == aligning + line["step"] - 1
    assert _written(RunFolder(tmp_path / "parts")) == _written(whole.folder)


@pytest.mark.slow
def test_killed_at_any_moment_and_run_again_is_uninterrupted(experiment, home, tmp_path):
    words = [
        "--model",
        "toy",
        "--target",
        "wash",
        "--student",
        "test_efficientnet",
        "--align-views",
        "1",
    ]
    words += ["--image-size", "32", "--steps", "330", "--batch", "4", "--holdout", "0.34"]
    words += ["--threads", "1", "--method", "lp-ft", "--out", str(tmp_path / "killed")]
    command = [sys.executable, "-m", "client.cli", "train", str(experiment.manifest.root), *words]
    options: dict[str, Any] = {
        "cwd": ROOT,
        "env": os.environ | {"VL2V_HOME": str(home), "OMP_NUM_THREADS": "1"},
        "stderr": subprocess.DEVNULL,
        "stdout": subprocess.DEVNULL,
    }
    curves = tmp_path / "killed" / "metrics.jsonl"
    with subprocess.Popen(command, **options) as process:
        while not curves.is_file() and process.poll() is None:
            time.sleep(0.02)
        time.sleep(random.Random(os.getpid()).uniform(0, 4))
        process.send_signal(signal.SIGKILL)
    assert subprocess.run(command, check=False, **options).returncode == 0
    changes = {"method": "lp-ft", "steps": 330, "batch": 4, "warmup": TrainConfig().warmup}
    whole = make_job(experiment, tmp_path / "whole", **changes)
    run_training(whole)
    assert _written(RunFolder(tmp_path / "killed")) == _written(whole.folder)


class TestTheRun:
    def test_swad_says_where_it_averaged(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", **SWAD, steps=14)
        line = run_training(job)
        last = job.folder.metrics()[-1]
        assert last["stage"] == "average"
        assert 1 <= last["swad_start"] <= last["swad_end"] <= line["step"]
        for key in ("swad_start", "swad_end", "swad_segments", "swad_threshold"):
            assert line[key] == last[key]

    def test_a_dead_valley_ends_training_early(self, experiment, tmp_path):
        """Steps this large leave the valley soon."""
        changes = {**SWAD, "steps": 30, "lr": 0.02, "warmup": 0, "schedule": "constant"}
        line = run_training(make_job(experiment, tmp_path / "run", **changes))
        assert line["step"] < 30
        assert line["swad_end"] == line["step"] - 6
        assert line["epoch"] == pytest.approx(
            line["step"] * CONFIG.batch / line["training_pictures"]
        )

    def test_the_papers_align_takes_steps_and_keeps_the_best_head(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", **PAPER, **SWAD, steps=6)
        run_training(job)
        rows = [row for row in job.folder.metrics() if row["stage"] == "align"]
        assert [row["step"] for row in rows] == [1, 2, 3, 4, 5, 6]
        assert all(row["lr"] == 5e-5 for row in rows)

    def test_config_json_holds_what_a_recipe_resolved_to(self, experiment, tmp_path):
        job = make_job(experiment, tmp_path / "run", steps=1)
        paper = resolve_config("paper", **{**_settings(job.config), "steps": 2, "batch": 2})
        run_training(replace(job, config=paper))
        written = json.loads(job.folder.config_file.read_text())
        assert (written["recipe"], written["lr"], written["steps"]) == ("paper", 5e-5, 2)

    def test_parts_of_a_batch_make_the_same_step(self, experiment, tmp_path):
        lines = [make_job(experiment, tmp_path / str(n), accumulate=n, steps=1) for n in (1, 3)]
        losses = []
        for job in lines:
            run_training(job)
            losses.append(job.folder.metrics()[-1]["loss"])
        assert losses[0] == pytest.approx(losses[1], abs=1e-6)

    def test_a_checkpoint_of_another_version_is_refused(self, experiment, tmp_path):
        from safetensors.torch import load_file, save_file

        with pytest.raises(Interrupted):
            run_training(make_job(experiment, tmp_path / "run", stop=lambda: True))
        file = RunFolder(tmp_path / "run").checkpoint
        old = {"step": 0, "seconds": 0.0, "penalty": 1.0}
        save_file(load_file(file), file, metadata={"vl2v": json.dumps(old)})
        with pytest.raises(TrainingError, match=r"another version.*--no-resume"):
            run_training(make_job(experiment, tmp_path / "run"))


def _settings(config: TrainConfig) -> dict[str, Any]:
    """What the study differs in from the defaults, apart from what a recipe decides."""
    names = ("targets", "student", "model", "image_size", "holdout", "align_views")
    return {name: getattr(config, name) for name in names}
