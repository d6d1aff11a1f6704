"""Li et al.'s objectives and metrics against float64 NumPy written from the equations."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.train.li_losses import (
    caption_loss,
    contrast_loss,
    feature_loss,
    label_loss,
    proximity_loss,
)
from client.train.li_tasks import LiTask
from tests.client.train import li_reference as reference

TAU = 0.07


class Case:
    """A batch of random unit vectors around their classes; the student's outputs have any length."""

    def __init__(self, seed, n=7, k=5, d=6, spread=0.4):
        rng = np.random.default_rng(seed)
        self.labels = rng.integers(k, size=n)
        self.texts = reference.normalise(rng.normal(size=(k, d)))
        near = self.texts[self.labels]
        self.images = reference.normalise(near + spread * rng.normal(size=(n, d)))
        self.captions = reference.normalise(near + spread * rng.normal(size=(n, d)))
        self.outputs = 3 * rng.normal(size=(n, d))

    def tensors(self, *names):
        return [torch.from_numpy(getattr(self, name)) for name in names]


def agree(case, expected, objective):
    """Value and slope of `objective(outputs)`, in float64, equal the reference's to 1e-6."""
    outputs = torch.from_numpy(case.outputs).requires_grad_()
    loss = objective(outputs)
    [slope] = torch.autograd.grad(loss, outputs)
    assert loss.item() == pytest.approx(expected[0], abs=1e-6, rel=1e-6)
    assert slope.numpy() == pytest.approx(expected[1], abs=1e-6, rel=1e-6)


@pytest.fixture(params=range(4))
def case(request):
    return Case(request.param)


class TestAgainstTheReference:
    def test_label_loss(self, case):
        texts, labels = case.tensors("texts", "labels")
        expected = reference.label(case.outputs, case.texts, case.labels, TAU)
        agree(case, expected, lambda s: label_loss(s, texts, labels, TAU))

    def test_feature_loss(self, case):
        [images] = case.tensors("images")
        expected = reference.feature(case.outputs, case.images)
        agree(case, expected, lambda s: feature_loss(s, images))

    def test_contrast_loss(self, case):
        [images] = case.tensors("images")
        expected = reference.contrast(case.outputs, case.images, TAU)
        agree(case, expected, lambda s: contrast_loss(s, images, TAU))

    @pytest.mark.parametrize("neighbours", [1, 2, 5, 256])
    @pytest.mark.parametrize("filter_wrong", [True, False])
    def test_proximity_loss(self, case, neighbours, filter_wrong):
        images, texts, labels = case.tensors("images", "texts", "labels")
        expected = reference.proximity(
            case.outputs, case.images, case.texts, case.labels, TAU, neighbours, filter_wrong
        )
        agree(
            case,
            expected,
            lambda s: proximity_loss(s, images, texts, labels, TAU, neighbours, filter_wrong),
        )

    @pytest.mark.parametrize("temperature", [1.0, 0.07])
    def test_caption_loss(self, case, temperature):
        captions, labels = case.tensors("captions", "labels")
        expected = reference.caption(case.outputs, case.captions, case.labels, temperature)
        agree(case, expected, lambda s: caption_loss(s, captions, labels, temperature))

    def test_the_references_own_slopes_are_right(self, case):
        def losses(outputs):
            args = (case.images, case.texts, case.labels, TAU, 3, True)
            return [
                reference.label(outputs, case.texts, case.labels, TAU),
                reference.feature(outputs, case.images),
                reference.contrast(outputs, case.images, TAU),
                reference.proximity(outputs, *args),
                reference.caption(outputs, case.captions, case.labels, 1.0),
            ]

        step, rng = 1e-6, np.random.default_rng(0)
        way = rng.normal(size=case.outputs.shape)
        ahead, behind = losses(case.outputs + step * way), losses(case.outputs - step * way)
        for (_, slope), (more, _), (less, _) in zip(
            losses(case.outputs), ahead, behind, strict=True
        ):
            assert (more - less) / (2 * step) == pytest.approx((slope * way).sum(), abs=1e-6)


class TestProximity:
    def test_a_batch_in_which_the_teacher_is_never_right_costs_nothing(self):
        case = Case(0)
        images, texts = case.tensors("images", "texts")
        wrong = torch.from_numpy((case.images @ case.texts.T).argmin(axis=1))
        outputs = torch.from_numpy(case.outputs).requires_grad_()
        loss = proximity_loss(outputs, images, texts, wrong, TAU, 256)
        [slope] = torch.autograd.grad(loss, outputs)
        assert loss.item() == 0
        assert not slope.any()
        assert proximity_loss(outputs, images, texts, wrong, TAU, 256, False).item() > 0

    def test_a_student_like_the_teacher_costs_nothing(self):
        images, texts, labels = Case(1).tensors("images", "texts", "labels")
        loss = proximity_loss(2 * images, images, texts, labels, TAU, 256)
        assert loss.item() == pytest.approx(0, abs=1e-12)


class TestCaptions:
    def test_another_picture_of_the_same_class_is_no_negative(self):
        captions, outputs = torch.eye(3, 4).double(), torch.ones(3, 4).double()
        alike = caption_loss(outputs, captions, torch.tensor([0, 0, 0]))
        apart = caption_loss(outputs, captions, torch.tensor([0, 1, 2]))
        assert alike.item() == pytest.approx(0)
        assert apart.item() == pytest.approx(np.log(3))


class TestTheTask:
    def test_the_loss_is_the_sum_of_its_terms_with_weight_one(self):
        case = Case(2)
        outputs, texts, images, labels, captions = case.tensors(
            "outputs", "texts", "images", "labels", "captions"
        )
        task = LiTask(texts, labels, images, captions, contrast=True, proximity=True)
        found = task.loss(outputs, torch.arange(7))
        args = (case.outputs, case.images)
        expected = {
            "cls": reference.label(case.outputs, case.texts, case.labels, TAU)[0],
            "mse": reference.feature(*args)[0],
            "im_cst": reference.contrast(*args, TAU)[0],
            "vlprox": reference.proximity(*args, case.texts, case.labels, TAU, 256, True)[0],
            "cap": reference.caption(case.outputs, case.captions, case.labels, 1.0)[0],
        }
        assert {name: found[name].item() for name in expected} == pytest.approx(expected)
        assert found["loss"].item() == pytest.approx(sum(expected.values()))

    def test_rows_choose_the_pictures(self):
        case = Case(3)
        outputs, texts, images, labels = case.tensors("outputs", "texts", "images", "labels")
        rows = torch.tensor([4, 1])
        task = LiTask(texts, labels, images, contrast=True)
        expected = reference.contrast(case.outputs[[4, 1]], case.images[[4, 1]], TAU)[0]
        assert task.loss(outputs[rows], rows)["im_cst"].item() == pytest.approx(expected)

    @given(seed=st.integers(0, 10_000), n=st.integers(1, 6), k=st.integers(1, 5))
    def test_every_term_is_finite_and_none_is_negative(self, seed, n, k):
        case = Case(seed, n=n, k=k, spread=2.0)
        outputs, texts, images, labels, captions = case.tensors(
            "outputs", "texts", "images", "labels", "captions"
        )
        task = LiTask(texts, labels, images, captions, contrast=True, proximity=True)
        for value in task.loss(outputs, torch.arange(n)).values():
            assert torch.isfinite(value)
            assert value.item() >= -1e-9
