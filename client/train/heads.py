"""Heads on fixed features, solved to convergence; the penalty is chosen by source validation."""

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

PENALTIES = (1e-2, 1e-1, 1.0, 10.0)
"""L2 penalties to choose from, in units of the features' mean variance."""
ITERATIONS = 40
"""L-BFGS steps per penalty; each begins where the heavier one ended."""
GELU_PENALTIES = (1e-3, 3e-3, 1e-2, 3e-2)
"""L2 penalties of a two-layer head on standardised features."""
GELU_ITERATIONS = 160
"""L-BFGS steps per penalty of a two-layer head, whose objective has no closed form."""

Judge = Callable[[Tensor, Tensor], float]
"""Source-validation accuracy of a head (weight, bias); higher is better."""
ModuleJudge = Callable[[nn.Module], float]
"""The same of a head of any kind."""

__all__ = [
    "GELU_PENALTIES",
    "PENALTIES",
    "HeadFit",
    "Judge",
    "ModuleFit",
    "ModuleJudge",
    "fit_classifier",
    "fit_gelu",
    "fit_ridge",
    "solve_ridge",
]


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


@dataclass(frozen=True)
class ModuleFit:
    """Why a head of several layers, fitted in place, is this one."""

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
    standard, centre, spread = _standardise(features, weights)
    weight = torch.zeros(class_count, features.shape[1], requires_grad=True)
    bias = torch.zeros(class_count, requires_grad=True)
    fits = []
    for penalty in sorted(PENALTIES, reverse=True):
        _minimise(standard, weight, bias, objective, penalty)
        plain = (weight / spread).detach()
        shift = (bias - plain @ centre).detach()
        fits.append(HeadFit(plain, shift, penalty, judge(plain, shift)))
    return _best(fits)


def fit_gelu(
    head: nn.Sequential, features: Tensor, aims: Tensor, weights: Tensor, judge: ModuleJudge
) -> ModuleFit:
    """Fit Linear-GELU-Linear in place as `fit_ridge` fits a Linear: squared error, L2, the judge.

    Σ wᵢ‖P(fᵢ) − uᵢ‖² + p·(‖W₁‖² + ‖W₂‖²) by full-batch L-BFGS on standardised features. It begins at
    the head as it was initialised, its second layer solved as a ridge; each penalty begins where the
    heavier one ended.
    """
    standard, centre, spread = _standardise(features, weights)
    trained = deepcopy(head).requires_grad_(True)
    penalties = sorted(GELU_PENALTIES, reverse=True)
    _solve_last(trained, standard, aims, weights, penalties[0])
    fits = []
    for penalty in penalties:
        _descend(trained, standard, aims, weights, penalty)
        plain = _unstandardise(trained, centre, spread)
        fits.append((judge(plain), penalty, plain))
    score, penalty, best = max(fits, key=lambda fit: fit[:2])
    head.load_state_dict(best.state_dict())
    return ModuleFit(penalty, score)


@torch.no_grad()
def _solve_last(
    head: nn.Sequential, features: Tensor, aims: Tensor, weights: Tensor, penalty: float
) -> None:
    hidden, last = head[:-1](features), cast("nn.Linear", head[-1])
    middle = weights @ hidden
    variance = float((weights[:, None] * (hidden - middle) ** 2).sum(dim=0).mean())
    [(weight, bias)] = solve_ridge(hidden, aims, weights, (penalty / variance,))
    last.weight.copy_(weight)
    last.bias.copy_(bias)


def _descend(
    head: nn.Sequential, features: Tensor, aims: Tensor, weights: Tensor, penalty: float
) -> None:
    search = torch.optim.LBFGS(
        head.parameters(),
        max_iter=GELU_ITERATIONS,
        history_size=20,
        line_search_fn="strong_wolfe",
    )

    def closure() -> Tensor:
        search.zero_grad()
        error = (weights * (head(features) - aims).square().sum(dim=1)).sum()
        loss: Tensor = error + penalty * _size(head)
        loss.backward()  # type: ignore[no-untyped-call]
        return loss

    search.step(closure)  # type: ignore[no-untyped-call]


def _size(head: nn.Module) -> Tensor:
    """‖W₁‖² + ‖W₂‖²; biases are free."""
    return torch.stack([p.square().sum() for p in head.parameters() if p.ndim == 2]).sum()


@torch.no_grad()
def _unstandardise(head: nn.Sequential, centre: Tensor, spread: Tensor) -> nn.Sequential:
    """The same head for features as they come."""
    plain = deepcopy(head).requires_grad_(False)
    first = cast("nn.Linear", plain[0])
    first.weight.div_(spread)
    first.bias.sub_(first.weight @ centre)
    return plain


def _standardise(features: Tensor, weights: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(features of mean 0 and variance 1, what was subtracted, what was divided by)."""
    share = weights[:, None]
    centre = (share * features).sum(dim=0)
    spread = (share * (features - centre) ** 2).sum(dim=0).sqrt().clamp(min=1e-6)
    return (features - centre) / spread, centre, spread


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
