"""Each loss, its gradient and the optimisers' steps against float64 NumPy, to 1e-6."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from client.train.loop import start_state
from client.train.losses import adip_loss, contrastive_loss, feature_loss, kd_loss, text_logits
from client.train.rivals import ContrastiveTask, FeatureTask, TextHeadTask
from client.train.student import Student, StudentSpec
from client.train.tasks import AlignmentTask, ClassificationTask, Task
from tests.client.train import reference
from tests.client.train.study import CONFIG

ROWS, WIDTH, CLASSES, INPUTS = 9, 7, 4, 5
RNG = np.random.default_rng(5)
OUTPUTS = RNG.normal(size=(ROWS, WIDTH))
LOGITS = 3 * RNG.normal(size=(ROWS, CLASSES))
TEACHER = 5 * RNG.normal(size=(ROWS, CLASSES))
IMAGES = reference.unit(RNG.normal(size=(ROWS, WIDTH)))
TEXTS = reference.unit(RNG.normal(size=(CLASSES, WIDTH)))
LABELS = np.array([0, 1, 2, 3, 0, 1, 0, 2, 2])
SCALE = 20.0
TEXTS_T, LABELS_T, IMAGES_T, TEACHER_T = map(torch.tensor, (TEXTS, LABELS, IMAGES, TEACHER))


@dataclass(frozen=True)
class Case:
    """One loss as the product and as the reference compute it."""

    outputs: reference.Array
    ours: Callable[[Tensor], dict[str, Tensor]]
    theirs: Callable[[reference.Array], reference.Found]


def _close(wanted: Any) -> Any:
    return pytest.approx(wanted, rel=1e-6, abs=1e-9)


def _kd_text(outputs: Tensor) -> dict[str, Tensor]:
    return kd_loss(text_logits(outputs, TEXTS_T, SCALE), LABELS_T, TEACHER_T, 2.0, 0.7)


def _entropy_text(outputs: Tensor) -> dict[str, Tensor]:
    return kd_loss(text_logits(outputs, TEXTS_T, SCALE), LABELS_T, None, 2.0)


CASES = {
    "adip": Case(
        OUTPUTS,
        lambda z: adip_loss(z, TEXTS_T[LABELS_T], IMAGES_T, 0.3),
        lambda z: reference.adip(z, TEXTS[LABELS], IMAGES, 0.3),
    ),
    "text-only": Case(
        OUTPUTS,
        lambda z: adip_loss(z, TEXTS_T[LABELS_T], None, 0.0),
        lambda z: reference.cosine(z, TEXTS[LABELS]),
    ),
    "feature-only": Case(
        OUTPUTS,
        lambda z: adip_loss(z, TEXTS_T[LABELS_T], IMAGES_T, 1.0),
        lambda z: reference.cosine(z, IMAGES),
    ),
    "erm": Case(
        LOGITS,
        lambda f: kd_loss(f, LABELS_T, None, 2.0),
        lambda f: reference.cross_entropy(f, LABELS),
    ),
    "kd": Case(
        LOGITS,
        lambda f: kd_loss(f, LABELS_T, TEACHER_T, 3.0, 0.4),
        lambda f: reference.kd(f, LABELS, TEACHER, 3.0, 0.4),
    ),
    "kd-text": Case(
        OUTPUTS,
        _kd_text,
        lambda z: reference.kd_text(z, TEXTS, SCALE, LABELS, TEACHER, 2.0, 0.7),
    ),
    "wise-ft": Case(
        OUTPUTS, _entropy_text, lambda z: reference.text_entropy(z, TEXTS, SCALE, LABELS)
    ),
    "simkd": Case(
        OUTPUTS,
        lambda z: feature_loss(z, IMAGES_T),
        lambda z: reference.feature(z, IMAGES),
    ),
    "flyp": Case(
        OUTPUTS,
        lambda z: contrastive_loss(z, TEXTS_T, LABELS_T, SCALE),
        lambda z: reference.contrastive(z, TEXTS, LABELS, SCALE),
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_a_loss_and_its_gradient(name):
    case = CASES[name]
    outputs = torch.tensor(case.outputs, requires_grad=True)
    loss = case.ours(outputs)["loss"]
    [slope] = torch.autograd.grad(loss, outputs)
    wanted, wanted_slope = case.theirs(case.outputs)
    assert loss.item() == _close(wanted)
    assert slope.numpy() == _close(wanted_slope)


@pytest.mark.parametrize("name", CASES)
def test_the_references_gradient_is_that_of_its_loss(name):
    case, step = CASES[name], 1e-6
    _, slope = case.theirs(case.outputs)
    direction = np.random.default_rng(1).normal(size=case.outputs.shape)
    ahead, _ = case.theirs(case.outputs + step * direction)
    behind, _ = case.theirs(case.outputs - step * direction)
    assert (ahead - behind) / (2 * step) == pytest.approx(float((slope * direction).sum()), 1e-6)


def _make_student(outputs: int) -> Student:
    """float64: a linear head on five numbers of a picture."""
    backbone = nn.Sequential(nn.Flatten(), nn.Linear(3, INPUTS, dtype=torch.float64))
    student = Student(StudentSpec("tiny", 1, outputs), backbone, INPUTS, [0.0] * 3, [1.0] * 3)
    return student.double()


TASKS: dict[str, tuple[Task, str]] = {
    "adip-head": (
        AlignmentTask(TEXTS_T, LABELS_T, IMAGES_T, 0.3, trains_head=True),
        "adip",
    ),
    "kd": (
        ClassificationTask(LABELS_T, CLASSES, TEACHER_T, 3.0, 0.4),
        "kd",
    ),
    "kd-text": (
        TextHeadTask(TEXTS_T, LABELS_T, SCALE, TEACHER_T, 2.0, 0.7),
        "kd-text",
    ),
    "simkd": (FeatureTask(TEXTS_T, IMAGES_T), "simkd"),
    "flyp": (ContrastiveTask(TEXTS_T, LABELS_T, SCALE), "flyp"),
}


@pytest.mark.parametrize("name", TASKS)
def test_three_steps_of_the_loops_optimiser(name):
    """AdamW as `start_state` sets it up; its weight decay is on matrices alone."""
    task, case = TASKS[name]
    torch.manual_seed(0)
    student = _make_student(task.head_width)
    state = start_state(student, task, CONFIG)
    pictures = torch.from_numpy(RNG.normal(size=(ROWS, 3, 1, 1)))
    weight, bias = (p.detach().numpy().copy() for p in student.linear_head.parameters())
    optimisers = [reference.Adam(CONFIG.lr, decay) for decay in (CONFIG.weight_decay, 0.0)]
    for _ in range(3):
        with torch.no_grad():
            features = student.features(pictures).numpy()
        _, slope = CASES[case].theirs(reference.linear(features, weight, bias))
        slopes = reference.linear_slopes(features, slope)
        weight, bias = (
            optimiser.step(value, by)
            for optimiser, value, by in zip(optimisers, (weight, bias), slopes, strict=True)
        )
        state.optimizer.zero_grad()
        task.loss(student(pictures), torch.arange(ROWS))["loss"].backward()
        state.optimizer.step()
    assert student.linear_head.weight.detach().numpy() == _close(weight)
    assert student.linear_head.bias.detach().numpy() == _close(bias)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (lambda p: torch.optim.Adam(p, lr=0.01), lambda: reference.Adam(0.01)),
        (
            lambda p: torch.optim.AdamW(p, lr=0.01, weight_decay=0.1),
            lambda: reference.Adam(0.01, 0.1),
        ),
        (
            lambda p: torch.optim.SGD(p, lr=0.05, momentum=0.9, weight_decay=1e-4),
            lambda: reference.Momentum(0.05, 0.9, 1e-4),
        ),
    ],
    ids=["adam", "adamw", "sgd"],
)
def test_the_recipes_optimisers(ours, theirs):
    value = torch.tensor(OUTPUTS, requires_grad=True)
    optimiser, again, expected = ours([value]), theirs(), OUTPUTS.copy()
    for _ in range(4):
        expected = again.step(expected, reference.adip(expected, TEXTS[LABELS], IMAGES, 0.5)[1])
        optimiser.zero_grad()
        adip_loss(value, TEXTS_T[LABELS_T], IMAGES_T, 0.5)["loss"].backward()
        optimiser.step()
    assert value.detach().numpy() == _close(expected)


def test_the_reference_imports_nothing_of_the_product():
    source = Path(reference.__file__).read_text(encoding="utf-8")
    assert re.findall(r"^(?:from|import) (\S+)", source, re.MULTILINE) == [
        "dataclasses",
        "numpy",
        "numpy.typing",
    ]
