"""Accuracy against queries and against labels: the grid, its files, its claims, and going on with it."""

import csv
import json

import numpy as np
import pytest
from typer.testing import CliRunner

from client.cli import app
from client.train.economy import FrontierPlan, ShotsPlan, _tell_crossing, run_frontier
from client.train.errors import Interrupted, MissingVectors, TrainingError
from client.train.points import Point, _group
from tests.client.train.study import CONFIG, make_job

WORDS = ("--model", "toy", "--target", "wash", "--student", "test_efficientnet")
SMALL = (
    "--image-size",
    "32",
    "--steps",
    "1",
    "--batch",
    "4",
    "--align-views",
    "1",
    "--holdout",
    "0.34",
)


def _run(*arguments: str):
    return CliRunner().invoke(app, list(arguments), env={"NO_COLOR": "1"})


@pytest.fixture
def study(experiment) -> str:
    return str(experiment.manifest.root)


class TestFrontier:
    def test_draws_a_point_for_each_way_of_spending(self, study, tmp_path):
        words = ("frontier", study, *WORDS, *SMALL, "--out", str(tmp_path / "out"), "--seeds", "2")
        grid = ("--shares", "0,0.25,1", "--selections", "stratified,uncertainty")
        done = _run(*words, *grid)
        assert done.exit_code == 0, done.output
        document = json.loads((tmp_path / "out" / "frontier.json").read_text())
        assert document["x_name"] == "paid image queries"
        points = {point["name"]: point for point in document["points"]}
        assert set(points) == {
            "text-only",
            "adip-q25-stratified",
            "adip-q25-uncertainty",
            "adip-q100",
        }
        assert points["text-only"]["x"] == 0
        assert points["adip-q25-stratified"]["x"] == points["adip-q25-uncertainty"]["x"]
        assert 0 < points["adip-q25-stratified"]["x"] < points["adip-q100"]["x"]
        for point in points.values():
            assert point["seeds"] == 2
            assert point["targets"] == ["wash"]
            assert point["error"] is not None
        assert [claim["claim"] for claim in document["claims"]] == [
            "25 % stratified − 100 %",
            "25 % uncertainty − 100 %",
        ]
        for claim in document["claims"]:
            assert claim["low"] <= claim["mean"] <= claim["high"]
            assert claim["said"] in done.stdout
        names = {file.name for file in (tmp_path / "out").iterdir() if file.is_file()}
        assert names == {"frontier.json", "frontier.svg", "frontier.png", "table.md", "table.csv"}
        with (tmp_path / "out" / "table.csv").open(encoding="utf-8") as rows:
            assert [row["run"] for row in csv.DictReader(rows)] == list(points)

    def test_a_frontier_of_few_shots(self, study, tmp_path):
        words = ("frontier", study, *WORDS, *SMALL, "--out", str(tmp_path / "out"))
        done = _run(*words, "--shares", "1", "--shots", "1")
        assert done.exit_code == 0, done.stderr
        run = tmp_path / "out" / "wash" / "adip-q100" / "seed0" / "config.json"
        assert json.loads(run.read_text())["shots"] == 1

    def test_runs_that_are_there_are_not_made_again(self, study, tmp_path):
        words = ("frontier", study, *WORDS, *SMALL, "--out", str(tmp_path / "out"))
        assert _run(*words, "--shares", "1").exit_code == 0
        marks = {f: f.stat().st_mtime_ns for f in (tmp_path / "out").rglob("student.safetensors")}
        done = _run(*words, "--shares", "0,1", "--json")
        assert done.exit_code == 0, done.output
        assert [json.loads(line)["name"] for line in done.stdout.splitlines()] == [
            "text-only",
            "adip-q100",
        ]
        assert {f: f.stat().st_mtime_ns for f in marks} == marks

    def test_an_interrupted_grid_goes_on(self, experiment, tmp_path):
        plan = FrontierPlan(CONFIG, "adip", (0.0, 1.0), ("random",), (0,), ("wash",), 1)
        asked = iter([False] * 5 + [True])
        with pytest.raises(Interrupted):
            run_frontier(experiment, plan, tmp_path, stop=lambda: next(asked, True))
        study = run_frontier(experiment, plan, tmp_path)
        assert len(study.points) == 2

    def test_what_is_not_bought_is_said_before_the_first_training(self, experiment, tmp_path):
        plan = FrontierPlan(CONFIG, "adip", (0.0, 1.0), ("random",), (0, 2), ("wash",), 1)
        with pytest.raises(MissingVectors, match="--views 2"):
            run_frontier(experiment, plan, tmp_path / "out")
        assert not (tmp_path / "out").exists()

    def test_a_method_that_asks_nothing_has_no_frontier(self, experiment, tmp_path):
        plan = FrontierPlan(CONFIG, "erm", (1.0,), ("random",), (0,), ("wash",), 1)
        with pytest.raises(TrainingError, match="asks no image query"):
            run_frontier(experiment, plan, tmp_path)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (("--shares", "0.5,2"), "--shares lie between 0 and 1"),
            (("--shares", "half"), "write 0,0.25,1"),
            (("--selections", "stratifid"), "did you mean stratified?"),
            (("--views", "two"), "'two' is no whole number"),
        ],
    )
    def test_a_bad_option_is_explained(self, study, tmp_path, words, said):
        done = _run("frontier", study, *WORDS, *SMALL, "--out", str(tmp_path / "out"), *words)
        assert done.exit_code == 2
        assert said in " ".join(done.stderr.split())


def test_a_selections_curve_begins_at_no_query_and_ends_at_all():
    def point(name, x, share, selection=None, views=0, *, metered=True):
        facts = {"share": share, "selection": selection, "views": views, "metered": metered}
        return Point(name, "adip", x, 0.5, None, 1, ("wash",), facts)

    free = Point("free", "text-only", 0, 0.5, None, 1, ("wash",), point("", 0, 0.0).facts)
    points = [
        free,
        point("quarter", 25, 0.25, "random"),
        point("whole", 100, 1.0),
        point("views", 200, 1.0, views=2),
        point("fresh", 900, 1.0, metered=False),
    ]
    curves = {name: [p.name for p in found] for name, found in _group(points)}
    assert curves["adip, random"] == ["free", "quarter", "whole"]
    assert curves["adip, fresh views, unmetered"] == ["fresh"]
    assert curves["adip, 2 views"] == ["views"]


class TestShots:
    def test_draws_a_curve_for_each_method_and_names_the_crossing(self, study, tmp_path):
        words = ("shots", study, *WORDS, *SMALL, "--out", str(tmp_path / "out"))
        done = _run(*words, "--shots", "1,2,all", "--methods", "erm,adip")
        assert done.exit_code == 0, done.output
        document = json.loads((tmp_path / "out" / "shots.json").read_text())
        assert document["x_name"] == "labelled pictures per class and domain"
        points = document["points"]
        assert [(p["method"], p["shots"]) for p in points] == [
            (method, shots) for shots in (1, 2, None) for method in ("erm", "adip")
        ]
        assert [p["x"] for p in points[:4]] == [1, 1, 2, 2]
        assert points[4]["x"] == points[5]["x"] > 2
        assert {p["paid_image_queries"] for p in points if p["method"] == "erm"} == {0}
        assert [p["paid_image_queries"] for p in points if p["method"] == "adip"][:2] == [6, 12]
        [claim] = document["claims"]
        assert "ERM" in claim["said"]
        assert claim["said"] in done.stdout
        assert (tmp_path / "out" / "shots.svg").is_file()

    @pytest.mark.parametrize(
        ("erm", "adip", "said"),
        [
            ((0.1, 0.2, 0.3), (0.4, 0.4, 0.4), "ERM does not pass ADiP up to k = all."),
            ((0.1, 0.5, 0.6), (0.4, 0.4, 0.4), "ERM passes ADiP at k = 4."),
            ((0.5, 0.3, 0.6), (0.4, 0.4, 0.4), "ERM passes ADiP at k = all."),
            ((0.5, 0.5, 0.6), (0.4, 0.4, 0.4), "ERM is ahead of ADiP at every k from 2 on."),
        ],
    )
    def test_the_crossing_is_where_erm_stays_ahead(self, erm, adip, said):
        plan = ShotsPlan(CONFIG, ("erm", "adip"), (2, 4, None), ("wash",), 1)
        points = [
            Point(name, name, float(place), mean, None, 1, ("wash",), {"shots": shots})
            for name, means in (("erm", erm), ("adip", adip))
            for place, (shots, mean) in enumerate(zip(plan.shots, means, strict=True))
        ]
        [claim] = _tell_crossing(points, plan)
        assert claim["said"] == said


def test_a_job_of_the_study_has_the_folds_of_its_config(experiment, tmp_path):
    job = make_job(experiment, tmp_path, shots=1)
    assert np.array_equal(job.fold.training, experiment.fold(("wash",), job.config).training)
