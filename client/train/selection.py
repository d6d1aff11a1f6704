"""A method's settings, chosen by source validation; the target domain is not in the data at all."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from client.errors import UsageError
from client.train.config import TrainConfig
from client.train.errors import TrainingError, UnknownName
from client.train.experiment import Experiment
from client.train.job import label_report
from client.train.methods import METHODS, find_method
from client.train.recipe import run_training
from client.train.runs import write_json

LEARNING_RATES = (3e-4, 1e-3, 1e-4, 3e-3)
"""Likeliest first: a method with a setting of its own tries only the first ones."""
IMAGE_WEIGHTS = (0.1, 0.5)
TEMPERATURES = (2.0, 4.0)
SETTINGS = ("lr", "image_weight", "temperature")
"""Fields of TrainConfig that a choice may decide."""

__all__ = [
    "IMAGE_WEIGHTS",
    "LEARNING_RATES",
    "SETTINGS",
    "TEMPERATURES",
    "Choice",
    "Grid",
    "Settings",
    "apply_choice",
    "apply_settings",
    "find_own_setting",
    "is_tunable",
    "select",
]

Settings = dict[str, float]
"""TrainConfig field → value."""


@dataclass(frozen=True)
class Grid:
    """Settings to try: equally many configurations for every method."""

    learning_rates: tuple[float, ...] = LEARNING_RATES
    image_weights: tuple[float, ...] = IMAGE_WEIGHTS
    temperatures: tuple[float, ...] = TEMPERATURES
    steps: int | None = None
    """Steps of a trial; those of the run when None."""

    def __post_init__(self) -> None:
        most = max(len(self.image_weights), len(self.temperatures))
        if not len(self.learning_rates) >= most >= 1:
            raise UsageError(
                f"{len(self.learning_rates)} learning rates allow each method as many configurations, "
                f"too few for {most} values of λ or τ: give at least {most} to --select-lrs"
            )

    def configurations(self, method: str) -> list[Settings]:
        """What `method` tries: as many points as there are learning rates, whatever the method.

        One without a setting of its own tries each rate. One with λ or τ tries the first rates with
        each value of it, so that what it gains there it loses in rates. One that only fits a head has
        no learning rate: its λ alone is tried, and nothing where there is none.
        """
        own, rates = find_own_setting(method), self.learning_rates
        values = self.temperatures if own == "temperature" else self.image_weights
        if not find_method(method).distils:
            return [{own: value} for value in values] if own else []
        if own is None:
            return [{"lr": rate} for rate in rates]
        points: list[Settings] = [{"lr": r, own: value} for r, value in product(rates, values)]
        return points[: len(rates)]


@dataclass(frozen=True, slots=True)
class Choice:
    """One method's chosen settings, and every trial behind them."""

    method: str
    targets: tuple[str, ...]
    settings: Settings
    validation: float
    """Mean per-class accuracy on the sources' validation parts."""
    trials: tuple[dict[str, float], ...]
    """Each: its settings, and `validation`."""

    def document(self) -> dict[str, Any]:
        """As choice.json carries it: the settings beside the rest."""
        return {
            "method": self.method,
            "targets": list(self.targets),
            **self.settings,
            "validation": self.validation,
            "trials": list(self.trials),
        }


def find_own_setting(method: str) -> str | None:
    """The one setting, beside the learning rate, that is chosen for a method: λ, τ of kd and its
    variants (named kd-…), or none."""
    if method == "kd" or method.startswith("kd-"):
        return "temperature"
    return "image_weight" if find_method(method).weighs_images else None


def is_tunable(method: str) -> bool:
    """Whether there is anything to choose: a linear probe has no learning rate, the teacher nothing."""
    found = find_method(method)
    return found.trains and (found.distils or find_own_setting(method) is not None)


def select(
    experiment: Experiment,
    config: TrainConfig,
    out: Path,
    points: Sequence[Settings],
    *,
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Choice:
    """Train once at each point and keep the best; resumes, writes OUT/choice.json.

    The target domains' pictures are taken out before anything else happens. Of equals the first
    point wins. Raises UnknownName for a method with nothing to choose.
    """
    if not is_tunable(config.method):
        names = ", ".join(name for name in METHODS if is_tunable(name))
        raise UnknownName(f"{config.method} trains nothing that could be tuned: choose of {names}")
    sources = experiment.without(config.targets)
    trials: list[tuple[Settings, float]] = []
    for index, point in enumerate(points):
        trial = apply_settings(replace(config, targets=()), point)
        told = label_report(report, f"trial {index + 1} of {len(points)}", ", ")
        job = sources.job(trial, out / _name(point), report=told, stop=stop)
        trials.append((dict(point), float(run_training(job)["in_domain_class_acc"])))
    settings, reached = max(trials, key=lambda trial: trial[1])
    choice = Choice(
        method=config.method,
        targets=config.targets,
        settings=settings,
        validation=reached,
        trials=tuple({**point, "validation": value} for point, value in trials),
    )
    write_json(out / "choice.json", choice.document())
    return choice


def apply_choice(config: TrainConfig, file: Path | None) -> TrainConfig:
    """The config with a choice's settings; of a folder, those of its METHOD.json, if there is one.

    Raises TrainingError for a file of another method.
    """
    if file is not None and file.is_dir():
        named = file / f"{config.method}.json"
        file = named if named.is_file() else None
    if file is None:
        return config
    try:
        document: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
        method = str(document["method"])
        settings = {key: float(document[key]) for key in SETTINGS if key in document}
        if not settings:
            raise KeyError("lr")
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file} is no choice of `vl2v tune` ({error!r})") from error
    if method != config.method:
        raise TrainingError(
            f"{file} was chosen for {method}: tune {config.method}, or drop --choice"
        )
    return apply_settings(config, settings)


def apply_settings(config: TrainConfig, settings: Settings) -> TrainConfig:
    """The config with these fields changed."""
    changes: dict[str, Any] = dict(settings)
    return replace(config, **changes)


def _name(point: Settings) -> str:
    words = {"lr": "lr", "image_weight": "lambda", "temperature": "tau"}
    return "-".join(f"{words[key]}{value:g}" for key, value in point.items())
