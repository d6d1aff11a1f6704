"""`vl2v unseen` and `vl2v imitation` as a user types them."""

import json

import pytest
from typer.testing import CliRunner

from client.cli import app
from tests.client.train.unseen_study import describe_classes, draw_classes, open_classes


@pytest.fixture
def data(tmp_path, store):
    root = draw_classes(tmp_path / "classes")
    open_classes(root, store)
    return root


def options(out, *more: str) -> list[str]:
    words = ["--model", "toy", "--student", "test_efficientnet", "--image-size", "32"]
    words += ["--steps", "2", "--batch", "4", "--holdout", "0.34", "--threads", "1"]
    return [*words, "--splits", "2", "--out", str(out), *more]


def run(*arguments):
    return CliRunner().invoke(app, [str(word) for word in arguments], env={"NO_COLOR": "1"})


def said(done) -> str:
    return " ".join(done.stderr.split())


def test_a_study_prints_its_tables_and_each_run(data, tmp_path, store):
    out = tmp_path / "out"
    done = run("unseen", data, *options(out, "--methods", "li-naive,li", "--class-shots", "0,2"))
    assert done.exit_code == 0, done.output
    for name in ("accuracy", "differences", "imitation"):
        assert (out / f"{name}.md").read_text() in done.stdout
    assert "split 1 · li · 2 shots: unseen" in said(done)
    assert "ood: mse" in said(done)
    again = run("imitation", out, "--json")
    rows = [json.loads(line) for line in again.stdout.splitlines()]
    stored = json.loads((out / "summary.json").read_text())["imitation"]
    assert [{"table": "imitation", **row} for row in stored] == rows
    assert rows[0]["runs"] == 8


def test_json_carries_every_table_row(data, tmp_path):
    done = run("unseen", data, *options(tmp_path / "out", "--methods", "li-naive,li", "--json"))
    rows = [json.loads(line) for line in done.stdout.splitlines()]
    assert {row["table"] for row in rows} == {"accuracy", "differences", "imitation"}
    [difference] = [row for row in rows if row["table"] == "differences"]
    assert (difference["better"], difference["base"]) == ("li", "li-naive")
    assert difference["low"] <= difference["difference"] <= difference["high"]


def test_descriptions_in_the_data_folder_are_found(data, tmp_path, store):
    describe_classes(data / "descriptions.json", store)
    out = tmp_path / "out"
    done = run("unseen", data, *options(out, "--methods", "li-naive,li-naive+descriptions"))
    assert done.exit_code == 0, done.output
    assert "| li-naive+descriptions − li-naive | 0 |" in done.stdout


def test_only_the_named_domains_are_used(data, tmp_path):
    out = tmp_path / "out"
    done = run("unseen", data, *options(out, "--methods", "li-naive", "--domains", "ink"))
    assert done.exit_code == 0, done.output
    config = json.loads((out / "split0/li-naive/seed0/shots0/config.json").read_text())
    assert config["domains"] == ["ink"]


def test_random_weights_let_batchnorm_move(data, tmp_path):
    words = options(tmp_path / "out", "--methods", "li-naive", "--splits", "1")
    done = run("unseen", data, *words, "--weights", "random")
    assert done.exit_code == 0, done.output
    config = tmp_path / "out/split0/li-naive/seed0/shots0/config.json"
    assert json.loads(config.read_text())["batchnorm"] == "updated"


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        (("--class-shots", "many"), "--class-shots 'many' is no list of counts"),
        (("--domains", "inc"), "did you mean ink?"),
        (("--methods", "li+descriptions"), "give --descriptions FILE"),
        (("--li-temperature", "0"), "--li-temperature must be positive"),
    ],
)
def test_bad_input_is_explained(data, tmp_path, more, expected):
    done = run("unseen", data, *options(tmp_path / "out", *more))
    assert done.exit_code in {1, 2}
    assert expected in said(done)


def test_li_can_be_trained_with_descriptions_for_an_unseen_domain(data, tmp_path, store):
    file = describe_classes(tmp_path / "words.json", store)
    words = ["--model", "toy", "--student", "test_efficientnet", "--image-size", "32"]
    words += ["--steps", "2", "--batch", "4", "--holdout", "0.34", "--threads", "1"]
    words += ["--method", "li", "--target", "wash", "--descriptions", str(file)]
    done = run("train", data, *words, "--out", tmp_path / "run", "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["spending"]["training"]["texts"] == 8
