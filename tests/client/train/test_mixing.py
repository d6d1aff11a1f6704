"""Blended batches, mixed statistics, dropped blocks and averaged weights: what each does, and that
all of it is a pure function of seed and step."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from client.train.building import build_task
from client.train.loop import start_state, train_student
from client.train.mixing import (
    blend_backbones,
    blend_pictures,
    drop_blocks,
    mix_statistics,
    swap_statistics,
)
from client.train.plus_methods import IDEAS
from client.train.recipe import run_training
from client.train.sampling import DomainSampler
from client.train.student import StudentSpec, build_student
from tests.client.train.study import make_job


def _pictures(count=6, side=8):
    return torch.rand(count, 3, side, side, generator=torch.Generator().manual_seed(9))


def _student(width=4):
    student, _ = build_student(StudentSpec("test_efficientnet", 32, width), weights="random")
    return student


@given(seed=st.integers(0, 500), kind=st.sampled_from(["mixup", "cutmix"]))
def test_a_blend_has_the_share_of_its_own_picture_that_it_says(seed, kind):
    values = torch.arange(6.0).view(-1, 1, 1, 1).expand(-1, 3, 8, 8) / 5
    blend = blend_pictures(values, torch.Generator().manual_seed(seed), kind)
    flat = values[:, 0, 0, 0]
    expected = blend.own * flat + (1 - blend.own) * flat[blend.partners]
    assert blend.own > 0.43  # a half, but the window is a whole number of pixels wide
    assert torch.allclose(blend.images.mean(dim=(1, 2, 3)), expected, atol=1e-5)


def test_about_half_of_the_batches_are_blended():
    owns = [
        blend_pictures(_pictures(2), torch.Generator().manual_seed(seed), "mixup").own
        for seed in range(200)
    ]
    assert 70 < sum(own < 1 for own in owns) < 130


def test_the_same_generator_blends_alike():
    one, two = (
        blend_pictures(_pictures(), torch.Generator().manual_seed(3), "cutmix") for _ in "ab"
    )
    assert torch.equal(one.images, two.images)
    assert torch.equal(one.partners, two.partners)
    assert one.own == two.own


def test_swapped_statistics_are_another_samples():
    torch.manual_seed(0)
    features = torch.randn(8, 4, 6, 6) * torch.arange(1, 9).view(-1, 1, 1, 1)
    mixed = swap_statistics(features)
    assert mixed.shape == features.shape
    assert not torch.allclose(mixed, features)
    spreads, before = mixed.std(dim=(2, 3)), features.std(dim=(2, 3))
    assert spreads.max() <= before.max() * 1.01
    normal = (mixed - mixed.mean(dim=(2, 3), keepdim=True)) / spreads[..., None, None]
    plain = (features - features.mean(dim=(2, 3), keepdim=True)) / before[..., None, None]
    assert torch.allclose(normal, plain, atol=1e-3)  # what is drawn stays


def test_statistics_are_mixed_inside_the_context_alone():
    student, images = _student().eval(), _pictures(6, 32)
    with torch.no_grad():
        plain = student(images)
        torch.manual_seed(1)
        with mix_statistics(student, 1.0):
            mixed = student(images)
        assert not torch.allclose(plain, mixed)
        assert torch.equal(plain, student(images))
        with mix_statistics(student, 0.0):
            assert torch.equal(plain, student(images))


def test_dropped_blocks_are_whole_in_evaluation():
    student, images = _student().eval(), _pictures(6, 32)
    with torch.no_grad():
        plain = student(images)
        drop_blocks(student, 0.5)
        assert torch.equal(plain, student.eval()(images))
        torch.manual_seed(0)
        assert not torch.equal(plain, student.train()(images))
    assert student.state_dict().keys() == _student().state_dict().keys()


def test_the_blend_of_backbones_lies_between_them_and_leaves_the_head():
    trained, aligned = _student(), _student()
    with torch.no_grad():
        for parameter in trained.parameters():
            parameter.add_(1.0)
    name = "backbone.conv_stem.weight"
    before, start = trained.state_dict()[name].clone(), aligned.state_dict()[name]
    head = trained.head.weight.clone()
    blend_backbones(trained, aligned, 0.25)
    assert torch.allclose(trained.state_dict()[name], start + 0.25 * (before - start), atol=1e-5)
    assert torch.equal(trained.head.weight, head)


def _distil(job):
    """The losses of a run without Align."""
    config, fold = job.config, job.fold
    task = build_task(config, fold, job.teacher)
    student, _ = build_student(StudentSpec(config.student, 32, task.head_width), weights="random")
    losses = []
    train_student(
        start_state(student, task, config),
        task,
        job.pixels[fold.training],
        DomainSampler(fold.domains[fold.training], config.batch, config.trial_seed),
        config,
        after_step=lambda _, row: losses.append(row["loss"]),
    )
    return losses


SINGLES = [name for name in IDEAS if name.count("-") == 1]
"""Ideas with one switch, without their sums."""


@pytest.mark.parametrize("method", SINGLES)
def test_every_idea_trains_and_its_loss_falls(experiment, tmp_path, method):
    losses = _distil(
        make_job(experiment, tmp_path / "run", method=method, steps=24, batch=12, lr=2e-3)
    )
    assert sum(losses[-6:]) < sum(losses[:6])


def test_an_idea_run_twice_is_the_same_run(experiment, tmp_path):
    one, two = (
        run_training(make_job(experiment, tmp_path / name, method="adip-wise", steps=2))
        for name in "ab"
    )
    student = (tmp_path / "a" / "student.safetensors").read_bytes()
    assert student == (tmp_path / "b" / "student.safetensors").read_bytes()
    assert one["ood_class_acc"] == two["ood_class_acc"]


@pytest.mark.parametrize("method", ["adip-styles", "adip-mixing", "adip-cutmix", "adip-depth"])
def test_what_an_idea_draws_depends_on_seed_and_step_alone(experiment, tmp_path, method):
    job = make_job(experiment, tmp_path / "run", method=method)
    assert _distil(job) == _distil(job)
