"""Recipes, averaging and the machine as a user types them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from client.cli import app

ROOT = Path(__file__).parents[3]
BASE = [
    "--model",
    "toy",
    "--target",
    "wash",
    "--student",
    "test_efficientnet",
    "--align-views",
    "1",
]
BASE += ["--image-size", "32", "--holdout", "0.34", "--threads", "1", "--json"]


def _train(experiment, out, *words):
    study = str(experiment.manifest.root)
    arguments = ["train", study, *BASE, "--out", str(out), *words]
    return CliRunner().invoke(app, arguments, env={"NO_COLOR": "1"})


def test_options_override_the_recipe_and_the_rest_is_the_recipes(experiment, tmp_path):
    out = tmp_path / "run"
    done = _train(experiment, out, "--recipe", "paper", "--steps", "2", "--batch", "2")
    assert done.exit_code == 0, done.output
    config = json.loads((out / "config.json").read_text())
    assert (config["recipe"], config["steps"], config["batch"]) == ("paper", 2, 2)
    assert (config["lr"], config["align"], config["sampling"]) == (5e-5, "steps", "per-domain")
    assert (config["averaging_kind"], config["evaluations"]) == ("swad", 50)
    assert json.loads(done.stdout)["swad_end"] == 2


def test_a_default_typed_out_counts_as_typed(experiment, tmp_path):
    words = ("--recipe", "paper", "--steps", "1", "--batch", "2", "--averaging-kind", "ema")
    assert _train(experiment, tmp_path / "run", *words).exit_code == 0
    config = json.loads((tmp_path / "run" / "config.json").read_text())
    assert (config["averaging_kind"], config["evaluations"]) == ("ema", 4)


def test_decoded_pictures_are_kept_unless_told_otherwise(experiment, home, tmp_path):
    words = ("--steps", "1", "--batch", "2", "--method", "erm")
    assert _train(experiment, tmp_path / "a", *words, "--no-pixel-cache").exit_code == 0
    assert not (home / "pixels").exists()
    assert _train(experiment, tmp_path / "b", *words).exit_code == 0
    assert len(list((home / "pixels").glob("*.pixels"))) == 1
    one, other = (tmp_path / name / "student.safetensors" for name in "ab")
    assert one.read_bytes() == other.read_bytes()


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--recipe", "papr"], "unknown recipe 'papr': did you mean paper?"),
        (["--averaging-kind", "swat"], "did you mean swad?"),
        (["--averaging-kind", "swad", "--evaluations", "5"], "--evaluations 30 or more"),
        (["--accumulate", "0"], "--accumulate must lie in 1"),
        (["--precision", "fp61"], "did you mean fp16"),
        (["--device", "cpu", "--precision", "fp16"], "--precision bf16"),
    ],
)
def test_a_bad_option_is_explained(experiment, tmp_path, words, said):
    done = _train(experiment, tmp_path / "run", *words)
    assert done.exit_code in {1, 2}
    assert said in " ".join(done.stderr.split())
    assert "Traceback" not in done.output


def test_the_command_is_a_module_too():
    words = [sys.executable, "-m", "client.cli", "--version"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("vl2v ")
