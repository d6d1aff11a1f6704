"""What a class is asked about as: read, counted and asked for by the style of the run."""

import numpy as np
import pytest

from client.train.errors import MissingVectors
from client.train.methods import METHODS
from client.train.recipe import run_training
from client.train.spending import count_spending
from client.train.teacher import Teacher
from shared.digests import digest_text
from tests.client.train.study import CLASSES, DIMENSION, TEXT_NANOUSD, buy, make_job, unit


@pytest.fixture
def sell(store):
    """Buy texts and return their vectors by text."""

    def sell_them(texts) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(len(texts))
        vectors = {text: unit(rng.normal(size=DIMENSION)) for text in texts}
        by_digest = {digest_text(text): vector for text, vector in vectors.items()}
        buy(store, "text", by_digest, "training", TEXT_NANOUSD, name="-more")
        return vectors

    return sell_them


def test_domain_texts_are_the_mean_over_the_sources(experiment, store, sell):
    vectors = sell([f"a {d} of a {c}" for d in ("ink", "pale") for c in CLASSES])
    fold = experiment.fold(("wash",))
    found = Teacher.open(store, "toy", "domain").read_texts(fold)
    for row, label in zip(found, CLASSES, strict=True):
        both = [vectors[f"a {domain} of a {label}"] for domain in ("ink", "pale")]
        assert row == pytest.approx(unit(np.mean(both, axis=0)), abs=1e-3)


def test_the_targets_name_is_never_asked_for(experiment, store):
    teacher = Teacher.open(store, "toy", "domain")
    prompts = teacher.class_prompts(experiment.fold(("wash",)))
    assert not [text for texts in prompts.values() for text in texts if "wash" in text]


@pytest.mark.parametrize("style", ["plain", "domain"])
def test_missing_texts_name_the_command_that_buys_them(experiment, tmp_path, style):
    with pytest.raises(MissingVectors) as caught:
        run_training(make_job(experiment, tmp_path / "run", prompts=style))
    root = experiment.manifest.root
    command = f"vl2v fetch {root} --model toy --target wash --prompts {style} --budget"
    assert command in str(caught.value)


def test_a_run_is_billed_for_the_texts_it_read(experiment, store, tmp_path, sell):
    sell([f"a photo of a {label}" for label in CLASSES])
    line = run_training(make_job(experiment, tmp_path / "run", method="text-only", prompts="plain"))
    wanted = {"images": 0, "texts": 3, "cost_nanousd": 3 * TEXT_NANOUSD}
    assert line["spending"]["training"] == wanted


def test_a_comparison_is_billed_for_the_texts_of_all_its_folds(experiment, store, sell):
    sell([f"a {d} of a {c}" for d in ("ink", "pale", "wash") for c in CLASSES])
    teacher = Teacher.open(store, "toy", "domain")
    folds = [experiment.fold((target,)) for target in ("ink", "pale", "wash")]
    bills = [count_spending(METHODS["text-only"], part, teacher) for part in (folds[:1], folds)]
    assert [bill.training.texts for bill in bills] == [6, 9]
