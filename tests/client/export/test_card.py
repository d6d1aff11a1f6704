"""The model card tells what was learned from, paid and reached, and what is not known."""

import json
import re
import shutil
from dataclasses import replace

import numpy as np
import pytest
import yaml
from typer.testing import CliRunner

from client.cli import app
from client.export.card import describe_card, read_card_runs
from client.export.licences import count_licences
from client.train.calibration import calibrate
from client.train.errors import TrainingError
from client.train.finished import evaluate_student, load_finished
from client.train.recipe import run_training
from tests.client.train.study import buy_study, draw_study, make_job, open_study


@pytest.fixture
def card(finished):
    return describe_card(read_card_runs(finished.path / "adip"))


def _cells(card, first):
    [line] = [line for line in card.splitlines() if line.startswith(f"| {first} |")]
    return [cell.strip() for cell in line.strip("|").split("|")]


def test_its_head_is_yaml_with_the_accuracy_of_each_domain(card, finished):
    head = yaml.safe_load(card.split("---")[1])
    assert head["license"] == "other"
    results = head["model-index"][0]["results"]
    assert [row["dataset"]["name"] for row in results] == ["ink", "pale", "wash"]
    wanted = finished.run("adip").result()["env2_class_acc"]
    assert results[2]["metrics"][0]["value"] == pytest.approx(wanted, abs=1e-4)


def test_accuracy_and_calibration_of_each_domain_are_those_of_evaluate(card, finished):
    student = load_finished(finished.run("adip"))
    for row in evaluate_student(student, finished.experiment):
        if row.part == ("all" if row.role == "target" else "validation"):
            told = _cells(card, row.domain)
            assert told[2:] == [str(row.pictures), f"{row.class_accuracy:.1%}", f"{row.ece:.1%}"]


def test_it_tells_teacher_cost_seeds_and_every_setting(card, finished):
    paid = finished.run("adip").result()["spending"]["training"]
    assert "toy@0123456789abcdef" in card
    assert _cells(card, "paid image queries")[1] == str(paid["images"])
    assert _cells(card, "split seed, trial seed")[1] == "0, 0"
    for name in ("lr", "steps", "image_weight", "averaging", "holdout"):
        assert _cells(card, name)[1] != ""
    assert "the vendor's model document names none" in card
    assert "also for one that shows none of them" in card


def test_several_seeds_have_a_standard_error(experiment_at, tmp_path):
    for seed in (0, 1):
        run_training(make_job(experiment_at, tmp_path / f"r/seed{seed}", trial_seed=seed, steps=1))
    runs = read_card_runs(tmp_path / "r")
    told = _cells(describe_card(runs), "out of domain, mean")[3]
    values = [100 * run.result["ood_class_acc"] for run in runs]
    error = np.std(values, ddof=1) / np.sqrt(2)
    assert told == f"{np.mean(values):.1f} ± {error:.1f} %"


@pytest.fixture
def experiment_at(tmp_path, store):
    root = draw_study(tmp_path / "study")
    buy_study(store, root)
    return open_study(root, store)


def test_without_the_data_it_says_that_calibration_was_not_measured(experiment_at, tmp_path):
    run_training(make_job(experiment_at, tmp_path / "run", steps=1))
    shutil.move(experiment_at.manifest.root, tmp_path / "elsewhere")
    card = describe_card(read_card_runs(tmp_path / "run"))
    assert "Calibration was not measured" in card
    assert _cells(card, "ink")[4] == "–"


def test_pictures_that_were_exchanged_since_are_not_judged(experiment_at, tmp_path):
    run_training(make_job(experiment_at, tmp_path / "run", steps=1))
    root = experiment_at.manifest.root
    for domain in ("ink", "wash"):
        shutil.move(root / domain / "bar", root / "kept")
        shutil.move(root / domain / "dot", root / domain / "bar")
        shutil.move(root / "kept", root / domain / "dot")
    assert "Calibration was not measured" in describe_card(read_card_runs(tmp_path / "run"))


def test_licences_are_counted_where_the_folder_says_them(experiment_at, tmp_path):
    run_training(make_job(experiment_at, tmp_path / "run", steps=1))
    manifest, fold = experiment_at.manifest, experiment_at.fold(("wash",))
    learned = [manifest.pictures[int(row)].path for row in fold.training]
    lines = [json.dumps({"path": path, "licence": "MIT"}) for path in learned[1:]]
    (manifest.root / "manifest.jsonl").write_text("\n".join(lines), encoding="utf-8")
    card = describe_card(read_card_runs(tmp_path / "run"))
    assert f"training pictures: MIT ({len(learned) - 1}), unknown (1)" in card
    assert count_licences(tmp_path, ["a"]) == {"unknown": 1}


def test_a_name_cannot_break_out_of_its_cell(finished):
    [run] = read_card_runs(finished.path / "adip")
    result = run.result | {"sources": ["a|b", "<script>"]}
    card = describe_card([replace(run, result=result)])
    assert "a\\|b, &lt;script>" in card


@pytest.mark.parametrize(
    ("place", "said"), [("", "different kinds"), ("zero-shot", "has no student to describe")]
)
def test_what_is_no_student_is_refused(finished, place, said):
    with pytest.raises(TrainingError, match=said):
        read_card_runs(finished.path / place)


def test_the_command_prints_it_or_writes_it(finished, tmp_path, store):
    run = str(finished.path / "erm")
    told = CliRunner().invoke(app, ["card", run])
    assert told.exit_code == 0, told.output
    assert "| teacher | none |" in told.stdout
    done = CliRunner().invoke(app, ["card", run, "--out", str(tmp_path / "a" / "CARD.md")])
    assert (tmp_path / "a" / "CARD.md").read_text(encoding="utf-8") == told.stdout, done.output


def test_the_calibration_of_a_run_is_that_of_its_answers(finished):
    student = load_finished(finished.run("erm"))
    fold = finished.experiment.fold(("wash",))
    found = student.probabilities(finished.experiment.pixels(32))[fold.tested]
    wanted = calibrate(found, fold.labels[fold.tested]).error
    card = describe_card(read_card_runs(finished.path / "erm"))
    assert re.search(rf"\| wash \|.*\| {wanted:.1%} \|", card)
