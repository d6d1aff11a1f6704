"""The loop: what moves, what stays, and that a step is a pure function of state, seed and step."""

import numpy as np
import pytest
import torch

from client.train.augment import augment, to_unit_range
from client.train.building import build_task
from client.train.loop import learning_rate, start_state, train_student
from client.train.sampling import DomainSampler, domain_weights
from client.train.student import StudentSpec, build_student
from tests.client.train.study import CONFIG, make_job


def _distil(experiment, tmp_path, **changes):
    """(student before, student after, rows logged) of a few steps without Align."""
    job = make_job(experiment, tmp_path / "run", **changes)
    config, fold = job.config, job.fold
    task = build_task(config, fold, job.teacher)
    student, _ = build_student(StudentSpec(config.student, 32, task.head_width), weights="random")
    state = start_state(student, task, config)
    before = {k: v.clone() for k, v in student.state_dict().items()}
    rows = []
    sampler = DomainSampler(fold.domains[fold.training], config.batch, config.trial_seed)
    train_student(
        state,
        task,
        job.pixels[fold.training],
        sampler,
        config,
        after_step=lambda _, row: rows.append(row),
    )
    return before, state, rows


@pytest.mark.parametrize("method", ["adip", "text-only"])
def test_distill_leaves_the_head_bit_identical(experiment, tmp_path, method):
    before, state, _ = _distil(experiment, tmp_path, method=method)
    for model in (state.student, state.average):
        assert torch.equal(model.head.weight, before["head.weight"])
        assert torch.equal(model.head.bias, before["head.bias"])
    stem = "backbone.conv_stem.weight"
    assert not torch.equal(state.student.state_dict()[stem], before[stem])


@pytest.mark.parametrize("method", ["erm", "kd"])
def test_the_baselines_move_their_head_too(experiment, tmp_path, method):
    before, state, _ = _distil(experiment, tmp_path, method=method)
    assert not torch.equal(state.student.head.weight, before["head.weight"])


def test_batchnorm_statistics_stay_frozen_unless_asked(experiment, tmp_path):
    name = "backbone.bn1.running_mean"
    before, state, _ = _distil(experiment, tmp_path)
    assert torch.equal(state.student.state_dict()[name], before[name])
    before, state, _ = _distil(experiment, tmp_path, batchnorm="updated")
    assert not torch.equal(state.student.state_dict()[name], before[name])


@pytest.mark.parametrize("method", ["adip", "text-only", "erm", "kd"])
def test_training_lowers_the_loss(experiment, tmp_path, method):
    _, _, rows = _distil(experiment, tmp_path, method=method, steps=30, batch=12, lr=3e-3)
    first, last = (np.mean([r["loss"] for r in part]) for part in (rows[:5], rows[-5:]))
    assert last < first - 0.05


def test_the_average_lies_between_the_first_and_the_last_weights(experiment, tmp_path):
    before, state, _ = _distil(experiment, tmp_path, steps=3)
    name = "backbone.conv_stem.weight"
    last, mean = state.student.state_dict()[name], state.average.state_dict()[name]
    assert 0 < (mean - before[name]).norm() < (last - before[name]).norm()


def test_the_learning_rate_warms_up_and_falls_to_almost_nothing():
    rates = [learning_rate(step, CONFIG) for step in range(CONFIG.steps)]
    assert max(rates) == CONFIG.lr == rates[CONFIG.warmup]
    assert rates[-1] < rates[-2] < CONFIG.lr


def test_every_domain_is_drawn_as_often_whatever_its_size():
    domains = np.array([0] * 90 + [1] * 10)
    sampler = DomainSampler(domains, 4000, 0)
    rows = sampler.draw(0)
    assert np.mean(domains[rows] == 1) == pytest.approx(0.5, abs=0.03)
    weights = domain_weights(domains)
    assert weights[domains == 0].sum() == pytest.approx(0.5)
    assert weights.sum() == pytest.approx(1)


def test_what_a_step_draws_depends_on_seed_and_step_alone():
    domains = np.arange(40) % 3
    first, again = (DomainSampler(domains, 8, 5).draw(7) for _ in range(2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, DomainSampler(domains, 8, 5).draw(8))
    assert not np.array_equal(first, DomainSampler(domains, 8, 6).draw(7))


def test_each_sample_gets_a_view_of_its_own(experiment):
    image = to_unit_range(experiment.pixels(32)[:1]).repeat(8, 1, 1, 1)
    views = augment(image, torch.Generator().manual_seed(0))
    assert views.shape == image.shape
    assert 0 <= views.min() <= views.max() <= 1
    assert all(not torch.equal(views[0], view) for view in views[1:])
    assert torch.equal(views, augment(image, torch.Generator().manual_seed(0)))


def test_a_crop_continues_the_border_instead_of_inventing_one():
    white = augment(torch.ones(16, 3, 32, 32), torch.Generator().manual_seed(1))
    spread = white.amax(dim=(1, 2, 3)) - white.amin(dim=(1, 2, 3))
    assert spread.max() < 1e-2
