"""Heads on fixed features: solved to convergence, penalty by the judge."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from client.train.heads import (
    GELU_PENALTIES,
    PENALTIES,
    fit_classifier,
    fit_gelu,
    fit_ridge,
    solve_ridge,
)


def _problem(rows: int = 60, width: int = 12, out: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    features = torch.randn(rows, width, generator=generator) * torch.linspace(0.1, 3, width) + 1
    aims = torch.randn(rows, out, generator=generator)
    weights = torch.rand(rows, generator=generator)
    return features, aims, weights / weights.sum()


def _objective(head, problem, penalty):
    (weight, bias), (features, aims, weights) = head, problem
    centre = weights @ features
    variance = (weights[:, None] * (features - centre) ** 2).sum(dim=0).mean()
    error = ((features @ weight.T + bias - aims) ** 2).sum(dim=1)
    return float(weights @ error + penalty * variance * weight.square().sum())


def _closed_form(features, aims, weights, penalty):
    """The same optimum found another way: least squares on rows stretched by √w and √penalty."""
    x, u, w = (t.double().numpy() for t in (features, aims, weights))
    variance = (w[:, None] * (x - w @ x) ** 2).sum(axis=0).mean()
    tall = np.hstack([x, np.ones((len(x), 1))]) * np.sqrt(w)[:, None]
    bottom = np.hstack([np.eye(x.shape[1]), np.zeros((x.shape[1], 1))])
    system = np.vstack([tall, bottom * np.sqrt(penalty * variance)])
    right = np.vstack([u * np.sqrt(w)[:, None], np.zeros((x.shape[1], u.shape[1]))])
    solution = np.linalg.lstsq(system, right, rcond=None)[0].T
    return torch.from_numpy(solution[:, :-1]).float(), torch.from_numpy(solution[:, -1]).float()


@pytest.mark.parametrize("penalty", PENALTIES)
def test_align_ends_within_one_per_cent_of_the_ridge_optimum(penalty):
    problem = _problem()
    [head] = solve_ridge(*problem, (penalty,))
    found = _objective(head, problem, penalty)
    best = _objective(_closed_form(*problem, penalty), problem, penalty)
    assert best * (1 - 1e-5) <= found <= 1.01 * best


def test_no_small_step_away_from_the_ridge_head_lowers_its_objective():
    problem = _problem()
    [(weight, bias)] = solve_ridge(*problem, (0.1,))
    best = _objective((weight, bias), problem, 0.1)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        moved = weight + 0.05 * torch.randn(weight.shape, generator=generator)
        assert _objective((moved, bias), problem, 0.1) > best


def test_rows_without_weight_do_not_count():
    features, aims, weights = _problem()
    weights[30:] = 0
    [(all_rows, _)] = solve_ridge(features, aims, weights, (0.1,))
    [(half, _)] = solve_ridge(features[:30], aims[:30], weights[:30], (0.1,))
    assert torch.allclose(all_rows, half, atol=1e-5)


def test_the_judge_chooses_the_penalty():
    features, aims, weights = _problem()
    for wanted in PENALTIES:
        sizes = [w.norm() for w, _ in solve_ridge(features, aims, weights, PENALTIES)]
        size = sizes[PENALTIES.index(wanted)]

        def judge(weight, _bias, size=size):
            return -float((weight.norm() - size).abs())

        assert fit_ridge(features, aims, weights, judge).penalty == wanted


def test_the_linear_probe_converges():
    features, _, weights = _problem()
    labels = torch.arange(60) % 3

    def objective(logits):
        return (weights * F.cross_entropy(logits, labels, reduction="none")).sum()

    fit = fit_classifier(features, 3, weights, objective, lambda w, b: -float(w.norm()))
    assert fit.penalty == max(PENALTIES)
    centre = weights @ features
    spread = (weights[:, None] * (features - centre) ** 2).sum(dim=0).sqrt()
    standard = (fit.weight * spread).requires_grad_(True)
    bias = (fit.bias + fit.weight @ centre).requires_grad_(True)
    scale = fit.penalty / features.shape[1]
    logits = (features - centre) / spread @ standard.T + bias
    total = objective(logits) + scale * standard.square().sum()
    slopes = torch.autograd.grad(total, [standard, bias])
    assert max(slope.abs().max() for slope in slopes) < 1e-3


class TestTheTwoLayerHead:
    def _fit(self, judge, width=12, out=5):
        torch.manual_seed(0)
        head = nn.Sequential(nn.Linear(width, out), nn.GELU(), nn.Linear(out, out))
        return head, fit_gelu(head, *_problem(width=width, out=out), judge)

    def test_is_at_an_optimum_of_its_penalised_error(self):
        features, aims, weights = _problem()
        head, fit = self._fit(lambda head: -float(head[2].weight.norm()))
        assert fit.penalty == max(GELU_PENALTIES)
        centre = weights @ features
        spread = (weights[:, None] * (features - centre) ** 2).sum(dim=0).sqrt()
        with torch.no_grad():
            head[0].bias.add_(head[0].weight @ centre)
            head[0].weight.mul_(spread)
        error = (head((features - centre) / spread) - aims).square().sum(dim=1)
        size = head[0].weight.square().sum() + head[2].weight.square().sum()
        total = weights @ error + fit.penalty * size
        slopes = torch.autograd.grad(total, list(head.parameters()))
        assert max(slope.abs().max() for slope in slopes) < 1e-3

    def test_fits_what_no_linear_head_can(self):
        features = torch.linspace(-2, 2, 60)[:, None].repeat(1, 12)
        aims = features[:, :5].abs()
        weights = torch.full((60,), 1 / 60)
        torch.manual_seed(0)
        head = nn.Sequential(nn.Linear(12, 5), nn.GELU(), nn.Linear(5, 5))
        fit_gelu(head, features, aims, weights, lambda head: 0.0)
        [(weight, bias)] = solve_ridge(features, aims, weights, (1e-6,))
        with torch.no_grad():
            mine = (head(features) - aims).square().mean()
            theirs = (features @ weight.T + bias - aims).square().mean()
        assert mine < theirs / 4

    def test_the_judge_chooses_the_penalty_and_of_equals_the_heavier(self):
        _, lightest = self._fit(lambda head: float(head[2].weight.norm() * head[0].weight.norm()))
        assert lightest.penalty == min(GELU_PENALTIES)
        _, equal = self._fit(lambda head: 1.0)
        assert equal.penalty == max(GELU_PENALTIES)
