"""`vl2v bench` and `vl2v tune` as a user types them, interrupted at any moment."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli import app

ROOT = Path(__file__).parents[3]
SMALL = (
    *("--model", "toy", "--student", "test_efficientnet"),
    *("--image-size", "32", "--batch", "4", "--holdout", "0.34"),
)


@pytest.fixture
def study(experiment):
    return str(experiment.manifest.root)


def _run(*words):
    return CliRunner().invoke(app, list(map(str, words)), env={"NO_COLOR": "1"})


def _bench(study, out, *words):
    return _run("bench", study, *SMALL, "--threads", "1", "--out", out, *words)


def test_a_preset_names_methods_and_steps_and_options_win(study, tmp_path):
    few = ("--targets", "wash", "--steps", "2")
    done = _bench(study, tmp_path / "a", "--preset", "smoke", *few)
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "a/results.jsonl").read_text().splitlines()]
    assert [line["method"] for line in lines] == ["zero-shot", "text-only", "erm"]
    assert {line["step"] for line in lines} == {2}
    for name in ("table.md", "table.csv", "runs.csv", "accuracy.svg", "accuracy.png"):
        assert (tmp_path / "a" / name).stat().st_size > 0
    assert "3 of 3 done: wash · erm · seed 0" in " ".join(done.stderr.split())


def test_the_smoke_preset_takes_twenty_steps(study, tmp_path):
    words = ("--preset", "smoke", "--methods", "erm", "--targets", "wash")
    done = _bench(study, tmp_path / "a", *words)
    assert done.exit_code == 0, done.output
    assert json.loads((tmp_path / "a/results.jsonl").read_text())["step"] == 20


def test_json_has_a_row_a_method_and_a_row_a_difference(study, tmp_path):
    words = ("--methods", "erm,text-only,adip", "--targets", "wash", "--steps", "1", "--json")
    rows = [json.loads(row) for row in _bench(study, tmp_path / "a", *words).stdout.splitlines()]
    assert [row["method"] for row in rows[:3]] == ["erm", "text-only", "adip"]
    assert {"ood_interval", "ood_points_per_1000_image_queries"} <= rows[2].keys()
    assert [(row["a"], row["b"]) for row in rows[3:]] == [("adip", "erm"), ("adip", "text-only")]


def test_a_method_can_have_a_learning_rate_of_its_own(study, tmp_path):
    words = (
        "--methods",
        "erm,text-only",
        "--targets",
        "wash",
        "--steps",
        "1",
        "--rate",
        "erm=2e-4",
    )
    done = _bench(study, tmp_path / "a", *words, "--lr", "1e-3")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "a/results.jsonl").read_text().splitlines()]
    assert {line["method"]: line["hparams"]["lr"] for line in lines} == {
        "erm": 2e-4,
        "text-only": 1e-3,
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--preset", "cor"], "unknown preset 'cor': did you mean core"),
        (
            ["--select", "--select-lrs", "1e-3", "--select-lambdas", "0.1,0.5"],
            "give at least 2 to --select-lrs",
        ),
        (["--select", "--select-lrs", "fast"], "is no list of numbers"),
        (["--rate", "erm"], "write it like erm=3e-4"),
        (["--methods", "adip", "--rate", "erm=3e-4"], "erm is not compared"),
        (["--select", "--rate", "erm=3e-4"], "leave --rate or --select out"),
    ],
    ids=["preset", "configurations", "numbers", "rate", "other method's rate", "two choices"],
)
def test_a_bad_option_is_explained(study, tmp_path, words, said):
    done = _bench(study, tmp_path / "a", *words)
    assert done.exit_code == 2, done.output
    assert said in " ".join(done.stderr.split())
    assert not (tmp_path / "a").exists()


def test_one_learning_rate_leaves_one_configuration_for_everyone(study, tmp_path):
    words = ("--methods", "erm,adip", "--targets", "wash", "--steps", "1")
    done = _bench(study, tmp_path / "a", *words, "--select", "--select-lrs", "2e-3")
    assert done.exit_code == 0, done.output
    lines = [json.loads(line) for line in (tmp_path / "a/results.jsonl").read_text().splitlines()]
    assert {line["hparams"]["lr"] for line in lines} == {2e-3}
    assert not list((tmp_path / "a").rglob("selection"))


def test_tune_tries_every_rate_with_every_value(study, tmp_path):
    done = _run(
        *("tune", study, *SMALL, "--method", "kd", "--target", "wash", "--steps", "1"),
        *("--lrs", "1e-4,1e-3", "--temperatures", "1,4", "--threads", "1"),
        *("--out", tmp_path / "t"),
    )
    assert done.exit_code == 0, done.output
    choice = json.loads(done.stdout)
    assert len(choice["trials"]) == 4
    assert {"method", "targets", "lr", "temperature", "validation"} <= choice.keys()
    assert choice == json.loads((tmp_path / "t" / "choice.json").read_text())


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_bench_killed_at_any_moment_ends_as_if_it_had_not_been(study, tmp_path, home):
    words = (
        *("--methods", "erm,adip", "--targets", "wash", "--steps", "40", "--seeds", "2"),
        *("--select", "--select-lrs", "1e-3,3e-3", "--select-steps", "20"),
    )
    whole = _bench(study, tmp_path / "whole", *words)
    assert whole.exit_code == 0, whole.output

    out = tmp_path / "killed"
    code = "from client.cli import app; app()"
    command = [sys.executable, "-c", code, "bench", study, *SMALL, "--threads", "1"]
    command += ["--out", str(out), *words]
    environment = os.environ | {"VL2V_HOME": str(home), "NO_COLOR": "1", "PYTHONPATH": str(ROOT)}
    # Killed once it has begun its first trial, its first choice, and its first run.
    for sign in ("metrics.jsonl", "choice.json", "seed0/done"):
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as bench:
            _wait_for(out, sign)
            bench.send_signal(signal.SIGKILL)
    assert not (out / "summary.json").exists()
    again = _bench(study, out, *words)
    assert again.exit_code == 0, again.output
    assert (out / "summary.json").read_text() == (tmp_path / "whole/summary.json").read_text()
    assert again.stdout == whole.stdout
    for file in (tmp_path / "whole").rglob("answers.safetensors"):
        twin = out / file.relative_to(tmp_path / "whole")
        assert twin.read_bytes() == file.read_bytes()


def _wait_for(folder: Path, sign: str) -> None:
    deadline = time.monotonic() + 120
    while time.monotonic() < deadline:
        if any(str(file).endswith(sign) for file in folder.rglob("*")):
            return
        time.sleep(0.05)
    raise AssertionError(f"{sign} never came")
