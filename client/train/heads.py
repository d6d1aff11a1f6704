"""Heads on fixed features, solved to convergence; the penalty is chosen by source validation."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
"""L2 penalties to choose from, in units of the features' mean variance."""
ITERATIONS = 40
"""L-BFGS steps per penalty; each begins where the heavier one ended."""

Judge = Callable[[Tensor, Tensor], float]
"""Source-validation accuracy of a head (weight, bias); higher is better."""

__all__ = ["PENALTIES", "HeadFit", "Judge", "fit_classifier", "fit_ridge", "solve_ridge"]


@dataclass(frozen=True)
class HeadFit:
    """A head, and why this one."""

    weight: Tensor
    """float32[width, dS]"""
    bias: Tensor
    """float32[width]"""
    penalty: float
    score: float
    """What the judge said."""


def solve_ridge(
    features: Tensor, aims: Tensor, weights: Tensor, penalties: tuple[float, ...]
) -> list[tuple[Tensor, Tensor]]:
    """(W, b) minimising Σ wᵢ‖W fᵢ + b − uᵢ‖² + p·v·‖W‖² for each penalty p, exactly.

    v is the features' mean variance, so that a penalty means the same for every student; the bias
    is free. One eigendecomposition serves all penalties.
    """
    rows, targets, share = features.double(), aims.double(), weights.double()[:, None]
    centre, middle = (share * rows).sum(dim=0), (share * targets).sum(dim=0)
    rows, targets = rows - centre, targets - middle
    values, vectors = torch.linalg.eigh(rows.T @ (share * rows))
    projected = vectors.T @ (rows.T @ (share * targets))
    variance = values.clamp(min=0).mean()
    heads = []
    for penalty in penalties:
        solution = vectors @ (projected / (values.clamp(min=0) + penalty * variance)[:, None])
        weight = solution.T.contiguous()
        heads.append((weight.float(), (middle - weight @ centre).float()))
    return heads


def fit_ridge(features: Tensor, aims: Tensor, weights: Tensor, judge: Judge) -> HeadFit:
    """The ridge head whose penalty the judge likes best; of equals the heavier penalty."""
    fits = [
        HeadFit(weight, bias, penalty, judge(weight, bias))
        for penalty, (weight, bias) in zip(
            PENALTIES, solve_ridge(features, aims, weights, PENALTIES), strict=True
        )
    ]
    return _best(fits)


def fit_classifier(
    features: Tensor,
    class_count: int,
    weights: Tensor,
    objective: Callable[[Tensor], Tensor],
    judge: Judge,
) -> HeadFit:
    """The linear probe for `objective(logits)` whose L2 penalty the judge likes best.

    Full-batch L-BFGS on standardised features; the penalty acts on those.
    """
    share = weights[:, None]
    centre = (share * features).sum(dim=0)
    spread = (share * (features - centre) ** 2).sum(dim=0).sqrt().clamp(min=1e-6)
    standard = (features - centre) / spread
    weight = torch.zeros(class_count, features.shape[1], requires_grad=True)
    bias = torch.zeros(class_count, requires_grad=True)
    fits = []
    for penalty in sorted(PENALTIES, reverse=True):
        _minimise(standard, weight, bias, objective, penalty)
        plain = (weight / spread).detach()
        shift = (bias - plain @ centre).detach()
        fits.append(HeadFit(plain, shift, penalty, judge(plain, shift)))
    return _best(fits)


def _minimise(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    objective: Callable[[Tensor], Tensor],
    penalty: float,
) -> None:
    scale = penalty / features.shape[1]
    search = torch.optim.LBFGS([weight, bias], max_iter=ITERATIONS, line_search_fn="strong_wolfe")

    def closure() -> Tensor:
        search.zero_grad()
        loss = objective(features @ weight.T + bias) + scale * weight.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]


def _best(fits: list[HeadFit]) -> HeadFit:
    return max(fits, key=lambda fit: (fit.score, fit.penalty))
