"""Open vocabulary: a new class costs its prompts' text queries, once, and only where it can work."""

import json
import shlex

import numpy as np
import pytest

from client.train.errors import MissingVectors, TrainingError
from client.train.finished import load_finished
from client.train.recipe import run_training
from client.train.runs import RunFolder
from client.train.vocabulary import open_vocabulary
from shared.digests import digest_text
from tests.client.standin import TEXT_NANOUSD
from tests.client.train.study import DIMENSION, MODEL, buy, make_job, unit

PROMPTS = ("a star", "a picture of a star")


@pytest.fixture
def vendor(vendor):
    vendor.dimension = DIMENSION
    return vendor


@pytest.fixture
def run(experiment, tmp_path):
    run_training(make_job(experiment, tmp_path / "run", steps=1))
    return RunFolder(tmp_path / "run")


def _pixels(experiment):
    return experiment.pixels(32)


def _open(run, names, store):
    return open_vocabulary(load_finished(run), run.read_config(), names, store)


class TestVocabulary:
    def test_the_runs_own_classes_in_another_order_cost_nothing_and_answer_alike(
        self, run, experiment, store
    ):
        student = load_finished(run)
        vocabulary = _open(run, ("ring", "bar"), store)
        assert vocabulary.missing(store) == ()
        other = vocabulary.teach(student, store)
        assert other.classes == ("ring", "bar")
        wanted = student.scores(_pixels(experiment))[:, [2, 0]]
        assert np.array_equal(other.scores(_pixels(experiment)), wanted)

    def test_a_new_class_is_the_unit_mean_of_its_prompts(self, run, store):
        vocabulary = _open(run, ("bar", "star"), store)
        assert vocabulary.missing(store) == PROMPTS
        assert vocabulary.cost_nanousd(store) == 2 * 10_000
        with pytest.raises(MissingVectors):
            vocabulary.teach(load_finished(run), store)
        rng = np.random.default_rng(5)
        vectors = {digest_text(text): unit(rng.normal(size=DIMENSION)) for text in PROMPTS}
        buy(store, "text", vectors, "evaluation")
        student = vocabulary.teach(load_finished(run), store)
        mean = sum(v.astype(np.float16).astype(np.float32) for v in vectors.values())
        assert np.allclose(student.texts[1], mean / np.linalg.norm(mean), atol=1e-4)

    def test_its_prompts_are_of_the_runs_own_kind(self, run, store):
        document = run.read_config() | {"prompts": "domain"}
        vocabulary = open_vocabulary(load_finished(run), document, ("star",), store)
        assert vocabulary.prompts == {"star": ("a ink of a star", "a pale of a star")}

    def test_a_student_that_answers_in_classes_is_refused(self, experiment, store, tmp_path):
        run_training(make_job(experiment, tmp_path / "erm", method="erm", steps=1))
        with pytest.raises(TrainingError, match="in no others: train one that answers in the"):
            _open(RunFolder(tmp_path / "erm"), ("star",), store)


class TestPredict:
    @pytest.fixture
    def words(self, run, experiment):
        pictures = [experiment.manifest.file(p) for p in experiment.manifest.pictures[:2]]
        return ("predict", str(run.path), *map(str, pictures), "--threads", "1")

    def test_what_is_missing_is_priced_with_the_command_that_buys_it(self, command, words, vendor):
        done = command.run(*words, "--add-classes", "star")
        assert done.returncode == 1
        said = " ".join(done.stderr.split())
        assert "2 texts of the new classes are not in the cache" in said
        assert "they cost $0.00002" in said
        assert vendor.sold == []
        typed = shlex.split(said.partition("Buy them with: ")[2])
        assert typed[-5:] == ["--add-classes", "star", "--buy", "--budget", "0.00002"]
        bought = command.run(*typed[1:], "--top", "4", "--json")
        assert bought.returncode == 0, bought.stderr
        answers = [json.loads(line) for line in bought.stdout.splitlines()]
        assert len(answers) == 2
        assert {row["class"] for row in answers[0]["classes"]} == {"bar", "dot", "ring", "star"}
        assert sum(row["probability"] for row in answers[0]["classes"]) == pytest.approx(1)
        assert vendor.debited == 2 * TEXT_NANOUSD
        assert "bought 2 texts for $0.00002" in bought.stderr

    def test_a_second_prediction_asks_nobody(self, command, words, vendor):
        command.run(*words, "--classes", "star,dot", "--buy", "--budget", "1")
        before = len(vendor.requests)
        done = command.run(*words, "--classes", "star,dot", "--buy")
        assert done.returncode == 0, done.stderr
        assert len(vendor.requests) == before
        assert "bar" not in done.stdout.replace(str(words[2]), "").replace(str(words[3]), "")

    def test_too_small_a_budget_buys_what_fits_and_says_what_is_needed(
        self, command, words, vendor
    ):
        done = command.run(*words, "--classes", "star", "--buy", "--budget", "0.00001")
        assert done.returncode == 3
        assert "--budget 0.00002" in done.stderr
        done = command.run(*words, "--classes", "star", "--buy", "--budget", "0.00002")
        assert done.returncode == 0, done.stderr
        assert vendor.debited == 2 * TEXT_NANOUSD

    def test_another_revision_on_sale_is_no_help(self, command, words, vendor):
        vendor.revision = "f" * 16
        done = command.run(*words, "--classes", "star", "--buy", "--budget", "1")
        assert done.returncode == 2
        assert f"space of toy@{MODEL.revision}" in done.stderr
        assert vendor.sold == []

    @pytest.mark.parametrize(
        ("more", "said"),
        [
            (("--classes", " , "), "no class name"),
            (("--classes", "a", "--add-classes", "b"), "give either --classes"),
            (("--classes", "star", "--buy"), "--budget 0.00002 covers it"),
        ],
    )
    def test_bad_options_are_explained(self, command, words, more, said):
        done = command.run(*words, *more)
        assert done.returncode == 2
        assert said in " ".join(done.stderr.split())
