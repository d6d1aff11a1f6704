"""What the cache says before training, on vectors whose answers are known."""

import json
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import delete
from typer.testing import CliRunner

from client.cache.tables import embedding
from client.cli import app
from client.data.prompts import build_prompts
from client.train.classifiers import classify, mean_by_class, mean_class_accuracy, nearest_means
from client.train.diagnose import diagnose
from client.train.errors import UnknownName
from shared.digests import digest_text
from tests.client.train.study import CLASSES, DOMAINS, MODEL, buy, unit


def _read(experiment, targets=()):
    return diagnose(experiment.manifest, experiment.split, experiment.store, MODEL, tuple(targets))


def _by_name(found, target):
    return {r.name: r for r in found.readings if r.target == target}


def _list(answers):
    assert answers is not None
    return answers.tolist()


def _rows(rng, count):
    rows = rng.normal(size=(count, 4)).astype(np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


class TestClassifiers:
    def test_class_means_classify_what_lies_near_them(self):
        vectors = np.array([[1, 0], [0.8, 0.6], [0, 1]], dtype=np.float32)
        labels = np.array([0, 0, 1])
        means = mean_by_class(vectors, labels, 2)
        assert means is not None
        assert np.allclose(np.linalg.norm(means, axis=1), 1)
        assert _list(classify(vectors, means)) == [0, 0, 1]

    def test_a_class_without_a_picture_has_no_mean(self):
        lone = np.eye(2, dtype=np.float32)
        assert mean_by_class(lone, np.array([0, 0]), 2) is None
        assert nearest_means(lone, lone, np.array([0, 0]), 2, 10) is None

    def test_a_picture_does_not_answer_for_itself(self):
        # Each picture's twin is of the other class: alone it would be right, without itself wrong.
        vectors = np.array([[1, 0], [1, 0.01], [0, 1], [0.01, 1]], dtype=np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        labels = np.array([0, 1, 0, 1])
        assert _list(nearest_means(vectors, vectors, labels, 2, 1)) == [0, 1, 0, 1]
        without = nearest_means(vectors, vectors, labels, 2, 1, skip_self=True)
        assert _list(without) == [1, 0, 1, 0]

    @given(st.integers(1, 6), st.integers(0, 2**16))
    def test_nearest_means_agree_with_a_plain_loop(self, neighbours, seed):
        rng = np.random.default_rng(seed)
        asked, vectors = (_rows(rng, n) for n in (5, 12))
        labels = np.arange(12) % 3
        expected = []
        for row in asked:
            scores = []
            for k in range(3):
                mine = sorted(vectors[labels == k], key=lambda v: -float(v @ row))[:neighbours]
                mean = np.mean(mine, axis=0)
                scores.append(row @ mean / np.linalg.norm(mean))
            expected.append(int(np.argmax(scores)))
        assert _list(nearest_means(asked, vectors, labels, 3, neighbours)) == expected

    def test_accuracy_counts_rare_classes_as_much(self):
        assert mean_class_accuracy(np.array([0, 0, 0, 0]), np.array([0, 0, 0, 1])) == 0.5
        assert mean_class_accuracy(None, np.array([0])) is None


class TestDiagnose:
    def test_each_domain_is_judged_in_turn(self, experiment):
        found = _read(experiment)
        assert [z.domain for z in found.zero_shot] == list(DOMAINS)
        assert {r.target for r in found.readings} == set(DOMAINS)
        for target in DOMAINS:
            mine = _by_name(found, target)
            assert list(mine) == ["E1", "E2", "E3", "E4", "E5", "E6"]
            assert [r.name for r in mine.values() if r.oracle] == ["E4", "E6"]
            assert mine["E2"].accuracy is None  # nobody bought those texts
            zero = next(z for z in found.zero_shot if z.domain == target)
            assert mine["E1"].accuracy == zero.accuracy

    def test_the_teachers_row_is_that_of_a_zero_shot_run(self, experiment, tmp_path):
        from client.train.recipe import run_training
        from tests.client.train.study import make_job

        line = run_training(make_job(experiment, tmp_path / "run", method="zero-shot"))
        accuracy = _by_name(_read(experiment, ["wash"]), "wash")["E1"].accuracy
        assert accuracy == pytest.approx(line["ood_class_acc"])

    def test_domain_texts_are_read_when_they_were_bought(self, experiment, store):
        templates = ["a ink of a {}", "a pale of a {}"]
        words = build_prompts(CLASSES, templates=templates)
        rng = np.random.default_rng(0)
        vectors = {digest_text(t): unit(rng.normal(size=16)) for w in words.values() for t in w}
        buy(store, "text", vectors, "evaluation")
        assert _by_name(_read(experiment, ["wash"]), "wash")["E2"].accuracy is None
        buy(store, "text", {d: -v for d, v in vectors.items()}, "training")
        assert _by_name(_read(experiment, ["wash"]), "wash")["E2"].accuracy is not None

    def test_source_classifiers_never_read_what_was_bought_to_evaluate(self, experiment, store):
        before = _by_name(_read(experiment, ["wash"]), "wash")
        fold = experiment.fold(("wash",))
        kept = {experiment.manifest.pictures[i].digest for i in fold.validation}
        with store.database.write() as connection:
            connection.execute(delete(embedding).where(embedding.c.digest.in_(kept)))
        after = _by_name(_read(experiment, ["wash"]), "wash")
        assert {n: after[n] for n in ("E3", "E5")} == {n: before[n] for n in ("E3", "E5")}

    def test_missing_vectors_are_counted_and_priced(self, experiment, store):
        gone = {p.digest for p in experiment.manifest.pictures if p.domain == "wash"}
        with store.database.write() as connection:
            connection.execute(delete(embedding).where(embedding.c.digest.in_(gone)))
        found = _read(experiment, ["wash"])
        missing = {part.what: part for part in found.missing}
        tested = missing["pictures of the targets, for E1 to E6 alone"]
        assert (tested.vectors, tested.cost_nanousd) == (len(gone), 100_000 * len(gone))
        assert missing["training pictures of the sources"].vectors == 0
        assert {r.accuracy for r in found.readings} == {None}
        zero = next(z for z in found.zero_shot if z.domain == "wash")
        assert (zero.held, zero.accuracy) == (0, None)
        assert found.estimate.verdict == "unknown"

    def test_the_estimate_follows_its_rule(self, experiment):
        found = _read(experiment)
        estimate = found.estimate
        leads = [
            _by_name(found, t)["E1"].accuracy - _by_name(found, t)["E3"].accuracy for t in DOMAINS
        ]
        assert estimate.text_lead == pytest.approx(np.mean(leads))
        assert estimate.verdict == ("likely" if np.mean(leads) > 0 else "unsure")
        images = {experiment.manifest.pictures[i].digest for i in experiment.split.training}
        texts = len(CLASSES) * len(MODEL.prompt_templates)
        assert estimate.training_cost_nanousd == 100_000 * len(images) + 10_000 * texts
        # Six texts at a tenth of an image's price round up to one more picture.
        assert estimate.break_even_predictions == len(images) + 1

    def test_geometry(self, experiment):
        found = _read(experiment)
        assert -1 <= found.text_cosine <= 1
        assert 0 <= found.modality_gap <= 2

    def test_a_target_that_is_no_domain_is_explained(self, experiment):
        with pytest.raises(UnknownName, match="did you mean wash"):
            _read(experiment, ["wahs"])


def _command(*words):
    return CliRunner().invoke(app, ["diagnose", *map(str, words)], env={"NO_COLOR": "1"})


def test_the_command_prints_tables_and_json(experiment):
    words = (experiment.manifest.root, "--model", "toy", "--holdout", "0.34", "--target", "wash")
    done = _command(*words)
    assert done.exit_code == 0, done.output
    assert "E4 mean target picture of a class (oracle)" in done.stdout
    assert "will distilling pay? an estimate:" in done.stdout
    document = json.loads(_command(*words, "--json").stdout)
    assert document["model"] == "toy"
    assert [r["name"] for r in document["readings"]] == ["E1", "E2", "E3", "E4", "E5", "E6"]


def test_the_command_says_what_to_give_without_a_model(experiment):
    done = _command(experiment.manifest.root)
    assert done.exit_code == 2
    assert "--model ID" in " ".join(done.stderr.split())


def test_it_needs_no_torch():
    code = (
        "import sys\nimport client.train.diagnose\n"
        "sys.exit('torch' in sys.modules and 'imported torch')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
