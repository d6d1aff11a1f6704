"""The runner of `make ideas`: registered before run, resumed without repeating, judged per fold."""

import pytest

from client.train.methods import METHODS
from tests.bench.lab import ideas
from tests.bench.lab.ideas_list import TRIALS, Trial


def _run(idea, pair, seed=0, **ood):
    return {
        "idea": idea,
        "sources": list(pair),
        "seed": seed,
        "steps": 200,
        "in_domain": 0.8,
        "ood": ood,
    }


LINES = [
    {"registered": "adip", "hypothesis": "", "expected": "", "date": "2026-01-01"},
    _run("adip", "ab", c=0.5, d=0.5),
    _run("adip", "cd", a=0.6, b=0.6),
    _run("x", "ab", c=0.6, d=0.7),
    _run("x", "cd", a=0.6, b=0.5),
    _run("x", "ab", seed=1, c=0.9, d=0.9),
]


def test_a_difference_belongs_to_the_fold_whose_target_it_never_saw():
    found = dict(ideas.differences(LINES, "x", 200))
    # Trained on a and b, tested on c: style d is in neither, so fold d may read it.
    assert found == {
        "d": pytest.approx(0.1),
        "c": pytest.approx(0.2),
        "b": pytest.approx(0.0),
        "a": pytest.approx(-0.1),
    }


def test_a_run_without_its_rival_is_not_judged():
    assert len(ideas.differences(LINES, "x", 200)) == 4


def test_the_table_keeps_every_idea_and_its_folds():
    table = ideas.make_table(LINES, 200)
    assert "| x | 3 | 80.0 | 70.0 | +5.0 ± 6.5 | -10.0 | +0.0 | +20.0 | +10.0 |" in table
    assert table.count("\n") == 4


def test_every_trial_names_a_method_and_says_what_it_expects():
    for trial in TRIALS.values():
        assert trial.method in METHODS
        assert trial.hypothesis
        assert trial.expected


def test_a_finished_run_is_not_made_again(tmp_path):
    made = []

    def run(trial, pair, seed):
        made.append((trial.name, pair, seed))
        return {"in_domain": 0.5, "ood": {}}

    plan = ideas.Plan((Trial("x", "adip", "h", "e"),), (("a", "b"), ("c", "d")), (0, 1), 200)
    file = tmp_path / "ideas.jsonl"
    for _ in range(2):
        ideas.run_plan(plan, file, run)
    assert len(made) == 4
    lines = ideas.read_lines(file)
    assert [line["registered"] for line in lines if "registered" in line] == ["x"]
    assert "registered" in lines[0]


def test_an_idea_with_few_shots_is_compared_with_adip_on_as_few():
    lines = [*LINES, _run("adip@4", "ab", c=0.1, d=0.1), _run("x@4", "ab", c=0.3, d=0.2)]
    found = dict(ideas.differences(lines, "x@4", 200))
    assert found == {"d": pytest.approx(0.2), "c": pytest.approx(0.1)}
    assert len(ideas.differences(lines, "x", 200)) == 4
