"""The ideas' objective and targets against float64 NumPy written from the equations."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from client.train.plus import PlusTask, centre_styles, lean_texts, trust_weights
from client.train.plus_methods import Switches

PICTURES, CLASSES, WIDTH = 9, 3, 5
SCALE, TAU = 7.0, 2.0


def _materials():
    draw = np.random.default_rng(4)

    def unit(*shape):
        rows = draw.normal(size=shape)
        return rows / np.linalg.norm(rows, axis=-1, keepdims=True)

    return {
        "texts": unit(CLASSES, WIDTH),
        "aims": unit(CLASSES, WIDTH),
        "images": unit(PICTURES, WIDTH),
        "labels": np.arange(PICTURES) % CLASSES,
        "weights": draw.uniform(size=PICTURES),
        "teacher": draw.normal(size=(PICTURES, CLASSES)) * 3,
        "outputs": draw.normal(size=(4, WIDTH)),
        "rows": np.array([0, 3, 4, 8]),
    }


def _task(given, switches, *, images=True):
    return PlusTask(
        texts=torch.tensor(given["texts"]),
        aims=torch.tensor(given["aims"]),
        labels=torch.tensor(given["labels"]),
        images=torch.tensor(given["images"]) if images else None,
        image_weights=torch.tensor(given["weights"]),
        teacher=torch.tensor(given["teacher"]),
        scale=SCALE,
        temperature=TAU,
        switches=switches,
    )


def _log_softmax(logits):
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


def _expected(given, switches):
    rows, labels = given["rows"], given["labels"]
    student = given["outputs"] / np.linalg.norm(given["outputs"], axis=1, keepdims=True)
    share = given["weights"][rows, None]
    mixture = share * given["images"][rows] + (1 - share) * given["aims"][labels[rows]]
    total = -(student * mixture).sum(axis=1).mean()
    logits = SCALE * student @ given["texts"].T
    places = np.arange(len(rows))
    total += switches.softmax * -_log_softmax(logits)[places, labels[rows]].mean()
    theirs = _log_softmax(given["teacher"][rows] / TAU)
    gap = np.exp(theirs) * (theirs - _log_softmax(logits / TAU))
    total += switches.divergence * TAU**2 * gap.sum(axis=1).mean()
    contrast = []
    for place, row in enumerate(rows):
        kept = [j for j in range(PICTURES) if j == row or labels[j] != labels[row]]
        answers = _log_softmax(SCALE * student[place] @ given["images"][kept].T)
        contrast.append(-answers[kept.index(row)])
    return total + switches.bank * np.mean(contrast)


@pytest.mark.parametrize(
    "switches",
    [
        Switches(),
        Switches(softmax=0.3),
        Switches(divergence=0.2),
        Switches(bank=0.4),
        Switches(softmax=0.1, divergence=0.2, bank=0.3),
    ],
    ids=["cosines", "softmax", "divergence", "bank", "all"],
)
def test_the_loss_equals_a_computation_by_hand(switches):
    given = _materials()
    found = _task(given, switches).loss(torch.tensor(given["outputs"]), torch.tensor(given["rows"]))
    assert found["loss"].item() == pytest.approx(_expected(given, switches), abs=1e-9)


def test_a_term_that_is_off_is_not_in_the_log():
    given = _materials()
    found = _task(given, Switches(softmax=0.1)).loss(
        torch.tensor(given["outputs"]), torch.tensor(given["rows"])
    )
    assert set(found) == {"loss", "cosine", "cross_entropy"}


def test_without_images_the_aim_stands_alone():
    given = _materials()
    found = _task(given, Switches(), images=False).loss(
        torch.tensor(given["outputs"]), torch.tensor(given["rows"])
    )
    student = F.normalize(torch.tensor(given["outputs"]), dim=1).numpy()
    aims = given["aims"][given["labels"][given["rows"]]]
    assert found["loss"].item() == pytest.approx(-(student * aims).sum(axis=1).mean(), abs=1e-9)


def test_trust_is_the_teachers_probability_of_the_label():
    given = _materials()
    found = trust_weights(0.4, torch.tensor(given["teacher"]), torch.tensor(given["labels"]))
    shares = np.exp(_log_softmax(given["teacher"]))[np.arange(PICTURES), given["labels"]]
    assert np.allclose(found.numpy(), 0.4 * shares, atol=1e-12)


def test_centred_styles_have_one_mean_before_they_are_made_unit():
    given = _materials()
    images, domains = given["images"], np.array([0, 0, 0, 0, 2, 2, 2, 2, 2])
    means = {d: images[domains == d].mean(axis=0) for d in (0, 2)}
    overall = (means[0] + means[2]) / 2
    shifted = images - np.stack([means[d] for d in domains]) + overall
    expected = shifted / np.linalg.norm(shifted, axis=1, keepdims=True)
    found = centre_styles(torch.tensor(images), torch.tensor(domains))
    assert np.allclose(found.numpy(), expected, atol=1e-12)


def test_a_text_leans_towards_its_pictures_and_stays_without_any():
    given = _materials()
    labels = np.where(given["labels"] == 2, 1, given["labels"])
    found = lean_texts(
        torch.tensor(given["texts"]), torch.tensor(given["images"]), torch.tensor(labels), 0.25
    ).numpy()
    for label in (0, 1):
        mean = given["images"][labels == label].mean(axis=0)
        aim = 0.75 * given["texts"][label] + 0.25 * mean / np.linalg.norm(mean)
        assert np.allclose(found[label], aim / np.linalg.norm(aim), atol=1e-12)
    assert np.allclose(found[2], given["texts"][2])
