"""Recipes: named tables of settings; what is typed out beside one counts more than its entry."""

from collections.abc import Mapping
from typing import Any

from client.train.config import TrainConfig
from client.train.errors import check_name

SWAD_EVALUATIONS = 50
"""What SWAD looks at its losses when nothing else is said: every 100 of 5,001 steps."""

RECIPES: Mapping[str, Mapping[str, Any]] = {
    "fast": {},
    # Addepalli et al. 2024 as its code ran. Adam without weight decay is AdamW with a decay of 0.
    "paper": {
        "steps": 5001,
        "sampling": "per-domain",
        "batch": 32,
        "lr": 5e-5,
        "schedule": "constant",
        "warmup": 0,
        "weight_decay": 0.0,
        "align": "steps",
        "averaging_kind": "swad",
        "batchnorm": "frozen",
    },
}
"""Recipe → the settings in which it differs from the fields' defaults."""

__all__ = ["RECIPES", "resolve_config"]


def resolve_config(recipe: str, **explicit: Any) -> TrainConfig:
    """The config of a recipe with the settings that were given explicitly.

    Raises UnknownName for another recipe, UsageError for a setting out of range.
    """
    table = RECIPES[check_name("recipe", recipe, RECIPES)]
    settings = {**table, **explicit, "recipe": recipe}
    if settings.get("averaging_kind") == "swad":
        settings.setdefault("evaluations", SWAD_EVALUATIONS)
    return TrainConfig(**settings)
