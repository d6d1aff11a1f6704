"""Unlabelled source pictures beside few shots: what they teach, what is paid, and that no label leaks."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from client.train.building import build_task
from client.train.plus import PlusTask
from client.train.plus_methods import Switches
from client.train.recipe import run_training
from tests.client.train.study import CONFIG, make_job

LENDS = replace(CONFIG, method="adip-unlabelled", shots=1)


def _task(experiment, config=LENDS):
    return build_task(config, experiment.fold(config.targets, config), experiment.teacher(config))


def test_the_fold_lends_every_other_source_picture_without_its_label(experiment):
    fold, whole = experiment.fold(("wash",), LENDS), experiment.fold(("wash",))
    assert len(fold.labelled) == 6
    assert fold.training.tolist() == fold.queried.tolist() == whole.training.tolist()
    labels = _task(experiment).labels
    known = np.isin(fold.training, fold.labelled)
    assert labels[known].tolist() == fold.labels[fold.labelled].tolist()
    assert set(labels[~known].tolist()) == {-1}


def test_with_all_labels_nothing_is_lent(experiment):
    config = replace(LENDS, shots=None)
    fold = experiment.fold(("wash",), config)
    assert fold.training.tolist() == fold.labelled.tolist()
    assert int(_task(experiment, config).labels.min()) == 0


def test_a_picture_with_neither_label_nor_vector_does_not_train(experiment):
    config = replace(LENDS, queries=0.25)
    fold = experiment.fold(("wash",), config)
    assert set(fold.training) == set(fold.labelled) | set(fold.queried)
    assert len(fold.queried) < len(fold.training) < len(experiment.fold(("wash",)).training)


def test_every_lent_picture_is_bought_so_the_purchase_has_no_shots(experiment):
    fold = experiment.fold(("wash",), replace(LENDS, trial_seed=3))
    assert fold.purchase == ()


def test_half_of_a_batch_has_labels(experiment, tmp_path):
    job = make_job(experiment, tmp_path, method="adip-unlabelled", shots=1, batch=600)
    drawn = job.fold.training[job.sampler.draw(0)]
    assert np.isin(drawn, job.fold.labelled).mean() == pytest.approx(0.5, abs=0.1)


def test_the_line_counts_pictures_with_and_without_a_label_and_what_was_paid(experiment, tmp_path):
    line = run_training(make_job(experiment, tmp_path, method="adip-unlabelled", shots=1))
    whole = len(experiment.fold(("wash",)).training)
    assert line["training_pictures"] == 6
    assert line["unlabelled_pictures"] == whole - 6
    assert line["spending"]["training"]["images"] == whole


def test_a_lent_label_changes_nothing(experiment, tmp_path):
    """The same study where every lent picture is called by another class."""
    fold = experiment.fold(("wash",), LENDS)
    lent = set(np.setdiff1d(fold.training, fold.labelled).tolist())
    names = experiment.manifest.classes
    pictures = tuple(
        replace(p, label=names[(names.index(p.label) + 1) % 3]) if i in lent else p
        for i, p in enumerate(experiment.manifest.pictures)
    )
    liar = replace(experiment, manifest=replace(experiment.manifest, pictures=pictures), _folds={})
    shown = liar.fold(("wash",), LENDS)
    # Shots are drawn by class, so the draw itself is kept as it was.
    shown.__dict__["labelled"] = fold.labelled
    assert shown.training.tolist() == fold.training.tolist()
    for name, where in (("honest", experiment), ("liar", liar)):
        run_training(make_job(where, tmp_path / name, method="adip-unlabelled", shots=1))
    honest, told = (load_file(tmp_path / n / "student.safetensors") for n in ("honest", "liar"))
    assert all(torch.equal(honest[k], told[k]) for k in honest)


def test_the_aim_of_an_unlabelled_picture_is_the_product_of_two_answers():
    draw = np.random.default_rng(0)

    def unit(*shape):
        rows = draw.normal(size=shape)
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    texts, images, outputs = unit(3, 5), unit(4, 5), draw.normal(size=(2, 5))
    teacher, weights, rows = draw.normal(size=(4, 3)), draw.uniform(size=4), np.array([1, 3])
    task = PlusTask(
        texts=torch.tensor(texts),
        aims=torch.tensor(texts),
        labels=torch.tensor([0, -1, 1, 2]),
        images=torch.tensor(images),
        image_weights=torch.tensor(weights),
        teacher=torch.tensor(teacher),
        scale=7.0,
        temperature=2.0,
        switches=Switches(unlabelled=True),
    )
    student = outputs / np.linalg.norm(outputs, axis=1, keepdims=True)
    product = np.exp(7.0 * student @ texts.T) * np.exp(teacher[rows])
    expected = product / product.sum(axis=1, keepdims=True) @ texts
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    aims = np.stack([expected[0], texts[2]])
    share = weights[rows, None]
    cosines = (student * (share * images[rows] + (1 - share) * aims)).sum(axis=1)
    moved = torch.tensor(outputs, requires_grad=True)
    loss = task.loss(moved, torch.tensor(rows))["loss"]
    assert loss.item() == pytest.approx(-cosines.mean(), abs=1e-12)
    # The aim is an answer, not a way for the gradient.
    loss.backward()
    fixed = torch.tensor(outputs, requires_grad=True)
    mixture = torch.tensor(share * images[rows] + (1 - share) * aims)
    (-(torch.nn.functional.normalize(fixed, dim=1) * mixture).sum(dim=1).mean()).backward()
    assert moved.grad is not None
    assert fixed.grad is not None
    assert torch.allclose(moved.grad, fixed.grad, atol=1e-12)
