"""The objectives against numbers worked out by hand."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from client.train.losses import (
    adip_loss,
    contrastive_loss,
    feature_loss,
    kd_loss,
    teacher_logits,
)


def _unit(*values):
    return F.normalize(torch.tensor(values), dim=-1)


def test_a_student_that_points_at_both_targets_has_the_lowest_loss():
    aim = _unit([1.0, 0.0], [0.0, 1.0])
    assert adip_loss(3 * aim, aim, aim, 0.5)["loss"].item() == pytest.approx(-1)
    assert adip_loss(-aim, aim, aim, 0.5)["loss"].item() == pytest.approx(1)


def test_lambda_weights_the_image_term():
    outputs, texts, images = _unit([1.0, 0.0]), _unit([0.0, 1.0]), _unit([1.0, 0.0])
    found = adip_loss(outputs, texts, images, 0.3)
    assert found["image_cosine"].item() == pytest.approx(1)
    assert found["text_cosine"].item() == pytest.approx(0)
    assert found["loss"].item() == pytest.approx(-0.3)


def test_without_images_the_text_stands_alone():
    outputs, texts = _unit([1.0, 1.0]), _unit([0.0, 1.0])
    assert adip_loss(outputs, texts, None, 0.9)["loss"].item() == pytest.approx(-1 / math.sqrt(2))


def test_descending_the_loss_turns_the_student_towards_both_targets():
    generator = torch.Generator().manual_seed(0)
    outputs = torch.randn(5, 4, generator=generator, requires_grad=True)
    texts = F.normalize(torch.randn(5, 4, generator=generator), dim=-1)
    images = F.normalize(texts + 0.3 * torch.randn(5, 4, generator=generator), dim=-1)
    before = adip_loss(outputs, texts, images, 0.5)
    [slope] = torch.autograd.grad(before["loss"], outputs)
    after = adip_loss((outputs - 0.1 * slope).detach(), texts, images, 0.5)
    assert after["text_cosine"] > before["text_cosine"]
    assert after["image_cosine"] > before["image_cosine"]


def test_the_loss_equals_the_cosine_to_the_mixed_aim():
    generator = torch.Generator().manual_seed(1)
    outputs = torch.randn(6, 4, generator=generator)
    texts = F.normalize(torch.randn(6, 4, generator=generator), dim=-1)
    images = F.normalize(torch.randn(6, 4, generator=generator), dim=-1)
    aim = 0.3 * images + 0.7 * texts
    direct = -(F.normalize(outputs, dim=-1) * aim).sum(dim=-1).mean()
    assert torch.allclose(adip_loss(outputs, texts, images, 0.3)["loss"], direct)


def test_kd_equals_a_computation_by_hand():
    logits = np.array([[2.0, 0.0, -1.0], [0.5, 0.5, 0.0]])
    teacher = np.array([[4.0, 1.0, 0.0], [0.0, 3.0, 1.0]])
    labels, tau = [0, 1], 2.0

    def softmax(values):
        powers = np.exp(values - values.max(axis=1, keepdims=True))
        return powers / powers.sum(axis=1, keepdims=True)

    p, q = softmax(teacher / tau), softmax(logits / tau)
    divergence = tau**2 * (p * np.log(p / q)).sum(axis=1).mean()
    entropy = -np.log(softmax(logits)[range(2), labels]).mean()
    found = kd_loss(torch.tensor(logits), torch.tensor(labels), torch.tensor(teacher), tau)
    assert found["divergence"].item() == pytest.approx(divergence)
    assert found["loss"].item() == pytest.approx(entropy + divergence)


def test_a_student_that_answers_like_the_teacher_has_no_divergence():
    teacher = torch.tensor([[4.0, 1.0, 0.0]])
    found = kd_loss(teacher + 7, torch.tensor([0]), teacher, 2.0)
    assert found["divergence"].item() == pytest.approx(0, abs=1e-6)


def test_the_divergence_pulls_as_hard_whatever_the_temperature():
    # τ² undoes the 1/τ² of the softened gradient; without it a high τ would mean no teacher.
    teacher, labels = torch.tensor([[0.3, 0.1, -0.2]]), torch.tensor([0])
    sizes = []
    for tau in (4.0, 8.0):
        logits = torch.zeros(1, 3, requires_grad=True)
        [slope] = torch.autograd.grad(kd_loss(logits, labels, teacher, tau)["divergence"], logits)
        sizes.append(slope.norm().item())
    assert sizes[0] == pytest.approx(sizes[1], rel=0.05)


def test_the_teachers_logits_are_its_scale_times_the_cosines():
    images, texts = _unit([1.0, 0.0]), _unit([1.0, 0.0], [1.0, 1.0])
    expected = torch.tensor([[30.0, 30 / math.sqrt(2)]])
    assert torch.allclose(teacher_logits(images, texts, 30.0), expected)


def test_with_every_class_once_the_contrastive_loss_is_clips_own():
    generator = torch.Generator().manual_seed(2)
    outputs = torch.randn(4, 6, generator=generator)
    texts = F.normalize(torch.randn(4, 6, generator=generator), dim=-1)
    labels = torch.tensor([2, 0, 3, 1])
    logits = 20 * F.normalize(outputs, dim=-1) @ texts[labels].T
    own = torch.arange(4)
    clip = (F.cross_entropy(logits, own) + F.cross_entropy(logits.T, own)) / 2
    assert torch.allclose(contrastive_loss(outputs, texts, labels, 20.0)["loss"], clip)


def test_a_picture_of_the_same_class_is_no_negative():
    texts = torch.eye(2)
    outputs, labels = texts[[0, 0, 1]], torch.tensor([0, 0, 1])
    found = contrastive_loss(outputs, texts, labels, 100.0)["loss"].item()
    # Two right answers share the probability, and nothing is left to gain.
    assert found == pytest.approx(2 / 3 * math.log(2))


def test_the_feature_loss_asks_for_the_length_too():
    aim = _unit([1.0, 0.0], [0.0, 1.0])
    assert feature_loss(aim, aim)["loss"].item() == pytest.approx(0)
    assert feature_loss(3 * aim, aim)["loss"].item() == pytest.approx(4)
