"""The training commands as a user types them."""

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
from tests.client.train.study import draw_study

ROOT = Path(__file__).parents[3]


@pytest.fixture
def study(experiment):
    return str(experiment.manifest.root)


def _options(out, **changes):
    given = {
        "--model": "toy",
        "--target": "wash",
        "--student": "test_efficientnet",
        "--image-size": "32",
        "--steps": "2",
        "--batch": "4",
        "--align-views": "1",
        "--holdout": "0.34",
        "--threads": "1",
        "--out": str(out),
    } | changes
    return [word for pair in given.items() for word in pair]


def _run(*arguments):
    return CliRunner().invoke(app, list(arguments), env={"NO_COLOR": "1"})


def test_train_evaluate_predict_export_report(study, tmp_path):
    out = tmp_path / "run"
    done = _run("train", study, *_options(out), "--method", "adip", "--json")
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout)
    assert line["method"] == "adip"

    again = _run("evaluate", str(out), "--json")
    rows = [json.loads(row) for row in again.stdout.splitlines()]
    assert {row["domain"] for row in rows} == {"ink", "pale", "wash"}

    picture = f"{study}/wash/dot/0.png"
    seen = _run("predict", str(out), picture, "--top", "2", "--json")
    [answer] = [json.loads(row) for row in seen.stdout.splitlines()]
    assert answer["image"] == picture
    shares = [row["probability"] for row in answer["classes"]]
    assert len(shares) == 2
    assert shares == sorted(shares, reverse=True)

    taken = _run("export", str(out), "--to", "timm", "--out", str(tmp_path / "model"))
    assert taken.exit_code == 0, taken.output
    assert (tmp_path / "model" / "model.safetensors").is_file()

    page = tmp_path / "report.html"
    told = _run("report", str(out), "--out", str(page))
    assert told.exit_code == 0, told.output
    assert page.read_text(encoding="utf-8").startswith("<!doctype html>")


def test_several_methods_get_a_folder_each(study, tmp_path):
    methods = ("--method", "erm", "--method", "zero-shot")
    done = _run("train", study, *_options(tmp_path / "runs"), *methods)
    assert done.exit_code == 0, done.output
    assert (tmp_path / "runs" / "erm" / "done").is_file()
    assert (tmp_path / "runs" / "zero-shot" / "done").is_file()
    assert "erm: mean per-class accuracy in domain" in done.stdout


def test_a_target_may_be_named_by_domainbeds_index(study, tmp_path):
    words = _options(tmp_path / "run", **{"--method": "erm"})
    del words[words.index("--target") : words.index("--target") + 2]
    done = _run("train", study, *words, "--test_envs", "2", "--json")
    assert json.loads(done.stdout)["targets"] == ["wash"]


def test_bench_prints_the_table(study, tmp_path):
    words = _options(tmp_path / "bench")
    for name in ("--target", "--align-views", "--holdout"):
        place = words.index(name)
        del words[place : place + 2]
    done = _run("bench", study, *words, "--methods", "erm,text-only", "--targets", "wash")
    assert done.exit_code == 0, done.output
    assert "| text-only |" in done.stdout


@pytest.mark.parametrize(
    ("changes", "code", "said"),
    [
        ({"--method": "adipp"}, 2, "unknown method 'adipp': did you mean adip"),
        ({"--student": "test_eficientnet"}, 2, "did you mean test_efficientnet"),
        ({"--target": "wahs"}, 2, "unknown target 'wahs': did you mean wash?"),
        ({"--model": "toyy"}, 1, "vl2v fetch"),
        ({"--lr": "0"}, 2, "--lr must lie between 0 and 1"),
        ({"--lambda": "2"}, 2, "--lambda must lie between 0 and 1"),
    ],
    ids=["unknown method", "unknown student", "unknown target", "unknown model", "lr", "lambda"],
)
def test_a_bad_option_is_explained(study, tmp_path, changes, code, said):
    done = _run("train", study, *_options(tmp_path / "run", **changes))
    assert done.exit_code == code
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


def test_single_domain_is_explained(tmp_path):
    root = draw_study(tmp_path / "one", domains=("ink",))
    done = _run("train", str(root), *_options(tmp_path / "run", **{"--target": "ink"}))
    assert done.exit_code == 1
    assert "single domain (ink)" in " ".join(done.stderr.split())


def test_a_folder_that_is_no_run_is_explained(tmp_path):
    for words in (["evaluate"], ["export"], ["predict", str(tmp_path / "x.png")]):
        done = _run(words[0], str(tmp_path), *words[1:])
        assert done.exit_code == 1
        assert "no run folder" in " ".join(done.stderr.split())


@pytest.mark.slow
def test_ctrl_c_saves_the_run_and_says_how_to_go_on(study, tmp_path, home):
    out = tmp_path / "run"
    words = _options(out, **{"--steps": "5000"})
    code = "from client.cli import app; app()"
    environment = os.environ | {"VL2V_HOME": str(home), "OMP_NUM_THREADS": "1", "NO_COLOR": "1"}
    checkpoint = out / "checkpoints" / "last.safetensors"
    with subprocess.Popen(
        [sys.executable, "-c", code, "train", study, *words, "--method", "erm"],
        cwd=ROOT,
        env=environment,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            deadline = time.monotonic() + 200
            while not checkpoint.is_file():
                assert process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)
            process.send_signal(signal.SIGINT)
            _, said = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == 130
    assert "same command again" in " ".join(said.split())
    assert checkpoint.is_file()
    assert not (out / "done").is_file()


def test_train_takes_shots_and_a_share_of_the_queries(study, tmp_path):
    words = _options(tmp_path / "run", **{"--shots": "2", "--queries": "0.5"})
    done = _run("train", study, *words, "--selection", "stratified", "--json")
    assert done.exit_code == 0, done.output
    line = json.loads(done.stdout)
    assert line["training_pictures"] == 12
    assert line["spending"]["training"]["images"] == 6
