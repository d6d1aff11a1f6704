"""Learning rate and λ, chosen by source validation; the target domain is not in the data at all."""

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from pathlib import Path
from typing import Any

from client.train.config import TrainConfig
from client.train.errors import TrainingError, UnknownName
from client.train.experiment import Experiment
from client.train.methods import find_method
from client.train.recipe import Job, run_training
from client.train.runs import RunFolder, write_json

LEARNING_RATES = (1e-4, 3e-4, 1e-3)
IMAGE_WEIGHTS = (0.3, 0.5, 0.7)

__all__ = ["IMAGE_WEIGHTS", "LEARNING_RATES", "Choice", "apply_choice", "select"]


@dataclass(frozen=True, slots=True)
class Choice:
    """One method's chosen settings, and every trial behind them."""

    method: str
    targets: tuple[str, ...]
    lr: float
    image_weight: float
    validation: float
    """Mean per-class accuracy on the sources' validation parts."""
    trials: tuple[dict[str, float], ...]


def select(
    experiment: Experiment,
    config: TrainConfig,
    out: Path,
    *,
    learning_rates: Sequence[float] = LEARNING_RATES,
    image_weights: Sequence[float] = IMAGE_WEIGHTS,
    report: Callable[[str, int, int], None] = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Choice:
    """Train once for each point of the grid and keep the best; resumes, writes OUT/choice.json.

    λ is tried for adip alone, the other methods have none. The target domains' pictures are taken
    out before anything else happens. Of equals the first in the grid wins.
    """
    if not find_method(config.method).trains:
        raise UnknownName(f"{config.method} trains nothing: tune erm, text-only, kd or adip")
    sources = experiment.without(config.targets)
    weights = image_weights if config.method == "adip" else (config.image_weight,)
    grid = list(product(learning_rates, weights))
    trials: list[dict[str, float]] = []
    for index, (lr, weight) in enumerate(grid):
        trial = replace(config, lr=lr, image_weight=weight, targets=())
        job = Job(
            config=trial,
            fold=sources.fold((), trial),
            pixels=sources.pixels(config.image_size),
            teacher=sources.teacher(trial),
            folder=RunFolder(out / f"lr{lr:g}-lambda{weight:g}"),
            report=_label(report, f"trial {index + 1} of {len(grid)}"),
            stop=stop,
        )
        reached = float(run_training(job)["in_domain_class_acc"])
        trials.append({"lr": lr, "image_weight": weight, "validation": reached})
    best = max(trials, key=lambda trial: trial["validation"])
    choice = Choice(config.method, config.targets, **best, trials=tuple(trials))
    write_json(out / "choice.json", asdict(choice))
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
        method, lr = str(document["method"]), float(document["lr"])
        weight = float(document["image_weight"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise TrainingError(f"{file} is no choice of `vl2v tune` ({error!r})") from error
    if method != config.method:
        raise TrainingError(
            f"{file} was chosen for {method}: tune {config.method}, or drop --choice"
        )
    return replace(config, lr=lr, image_weight=weight)


def _label(report: Callable[[str, int, int], None], label: str) -> Callable[[str, int, int], None]:
    return lambda stage, done, total: report(f"{label}, {stage}", done, total)
