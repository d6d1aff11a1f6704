"""One run's numbers, in DomainBed's key names and in ours."""

from typing import Any

import numpy as np

from client.train.config import TrainConfig
from client.train.evaluate import Accuracy, Evaluation
from client.train.fold import Fold
from client.train.methods import find_method
from client.train.spending import Spending

CHANCE_FACTOR = 3
"""A trained method below this many times chance on source validation has not converged."""
ERM_MARGIN = 0.05
"""Nor has one that falls this far behind ERM there."""

__all__ = ["describe_result", "is_converged"]

_TRAINING_KEYS = (
    "lr",
    "image_weight",
    "temperature",
    "steps",
    "batch",
    "weight_decay",
    "averaging",
)


def describe_result(
    config: TrainConfig,
    fold: Fold,
    evaluation: Evaluation,
    spending: Spending,
    facts: dict[str, Any],
) -> dict[str, Any]:
    """The line of results.jsonl.

    `env{i}_in_acc` and `env{i}_out_acc` are DomainBed's: plain accuracy on domain i's training and
    validation part, domains in sorted order. `…_class_acc` is the mean per-class accuracy of the
    same part; `env{i}_acc` is all of a target domain. `in_domain_*` averages the sources' validation
    parts, `ood_*` the whole targets.
    """
    line: dict[str, Any] = {"step": config.steps, "epoch": _epochs(config, fold)}
    for index, domain in enumerate(fold.manifest.domains):
        for part, found in (
            ("_in", evaluation.training),
            ("_out", evaluation.validation),
            ("", evaluation.whole),
        ):
            if domain in found:
                line[f"env{index}{part}_acc"] = found[domain].plain
                line[f"env{index}{part}_class_acc"] = found[domain].per_class
    line |= _pair("in_domain", evaluation.in_domain) | _pair("ood", evaluation.out_of_domain)
    line |= {
        "method": config.method,
        "targets": list(fold.targets),
        "sources": list(fold.sources),
        "trial_seed": config.trial_seed,
        "chance": 1 / len(fold.manifest.classes),
        **_count_pictures(fold),
        "spending": spending.document(),
        "hparams": {key: config.document()[key] for key in _TRAINING_KEYS},
        "args": config.document(),
    }
    return line | facts


def is_converged(result: dict[str, Any], erm: dict[str, Any] | None) -> bool:
    """Whether a run's source validation is what training must reach: 3 × chance, and at most five
    points behind ERM's (where there is one)."""
    if not find_method(result["method"]).trains:
        return True
    reached = float(result["in_domain_class_acc"])
    if reached < CHANCE_FACTOR * float(result["chance"]):
        return False
    return erm is None or reached >= float(erm["in_domain_class_acc"]) - ERM_MARGIN


def _count_pictures(fold: Fold) -> dict[str, int]:
    """How many labelled pictures trained, and how many without a label where there were some."""
    known = int(np.isin(fold.training, fold.labelled).sum())
    lent = len(fold.training) - known
    return {"training_pictures": known} | ({"unlabelled_pictures": lent} if lent else {})


def _epochs(config: TrainConfig, fold: Fold) -> float:
    return config.steps * config.batch / len(fold.training)


def _pair(name: str, accuracy: Accuracy | None) -> dict[str, float | None]:
    return {
        f"{name}_acc": accuracy.plain if accuracy else None,
        f"{name}_class_acc": accuracy.per_class if accuracy else None,
    }
