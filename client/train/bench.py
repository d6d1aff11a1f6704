"""The comparison: every target domain × method × seed, resumable, and its tables."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from client.train.config import TrainConfig
from client.train.experiment import Experiment
from client.train.fold import Fold
from client.train.methods import METHODS, find_method
from client.train.recipe import Job, run_training
from client.train.runs import RunFolder
from client.train.selection import IMAGE_WEIGHTS, LEARNING_RATES, select
from client.train.spending import count_spending
from client.train.summary import Summary, summarise, write_tables

__all__ = ["BenchPlan", "Grid", "run_bench"]

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True)
class BenchPlan:
    """What to compare."""

    config: TrainConfig
    """Settings of every run; method, targets and trial seed are replaced."""
    methods: tuple[str, ...]
    targets: tuple[str, ...]
    """Each is left out once."""
    seeds: int
    grid: "Grid | None" = None
    """What each fold's learning rate and λ are first chosen from, by source validation."""


@dataclass(frozen=True)
class Grid:
    """Settings to try; every method tries each learning rate, adip each λ as well."""

    learning_rates: tuple[float, ...] = LEARNING_RATES
    image_weights: tuple[float, ...] = IMAGE_WEIGHTS
    steps: int | None = None
    """Steps of a trial; those of the run when None."""


def run_bench(
    experiment: Experiment,
    plan: BenchPlan,
    out: Path,
    *,
    report: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> list[Summary]:
    """Make every run that is not there yet under OUT/<target>/<method>/seed<k>, then the tables.

    Raises MissingVectors before the first training when a method's vectors are not all bought.
    """
    folds = {name: _folds(experiment, plan, name) for name in plan.methods}
    for name, mine in folds.items():
        experiment.require_vectors(replace(plan.config, method=name), mine)
    lines = []
    for config in _configs(experiment, plan, out, report, stop):
        label = f"{config.targets[0]} · {config.method} · seed {config.trial_seed}"
        job = Job(
            config=config,
            fold=experiment.fold(config.targets, config),
            pixels=experiment.pixels(config.image_size),
            teacher=experiment.teacher(config),
            folder=RunFolder(out / config.targets[0] / config.method / f"seed{config.trial_seed}"),
            report=_label(report, label),
            stop=stop,
        )
        lines.append(run_training(job))
    spending = {
        name: count_spending(
            find_method(name),
            folds[name],
            experiment.teacher(replace(plan.config, method=name)),
        )
        for name in plan.methods
    }
    rows = summarise(lines, spending)
    write_tables(rows, lines, out)
    return rows


def _folds(experiment: Experiment, plan: BenchPlan, method: str) -> list[Fold]:
    """One for each target, and for each seed where it decides which pictures are learned from."""
    base = replace(plan.config, method=method)
    drawn = base.shots is not None or base.queries < 1
    seeds = range(plan.seeds if drawn and METHODS[method].trains else 1)
    return [
        experiment.fold((target,), replace(base, trial_seed=base.trial_seed + seed))
        for target in plan.targets
        for seed in seeds
    ]


def _configs(
    experiment: Experiment,
    plan: BenchPlan,
    out: Path,
    report: Progress,
    stop: Callable[[], bool],
) -> list[TrainConfig]:
    """Every run's settings; an untrained method runs once a target."""
    found = []
    for target in plan.targets:
        for method in plan.methods:
            config = replace(plan.config, method=method, targets=(target,))
            trains = METHODS[method].trains
            if plan.grid is not None and trains:
                folder = out / target / method / "selection"
                config = _select(experiment, config, plan.grid, folder, report, stop)
            seeds = range(plan.seeds if trains else 1)
            found += [replace(config, trial_seed=plan.config.trial_seed + s) for s in seeds]
    return found


def _select(
    experiment: Experiment,
    config: TrainConfig,
    grid: Grid,
    folder: Path,
    report: Progress,
    stop: Callable[[], bool],
) -> TrainConfig:
    """The config with the fold's best settings; nothing is tried where there is nothing to choose."""
    weights = grid.image_weights if config.method == "adip" else (config.image_weight,)
    if len(grid.learning_rates) == len(weights) == 1:
        return replace(config, lr=grid.learning_rates[0], image_weight=weights[0])
    choice = select(
        experiment,
        replace(config, steps=grid.steps or config.steps),
        folder,
        learning_rates=grid.learning_rates,
        image_weights=weights,
        report=report,
        stop=stop,
    )
    return replace(config, lr=choice.lr, image_weight=choice.image_weight)


def _label(report: Progress, label: str) -> Progress:
    return lambda stage, done, total: report(f"{label} · {stage}", done, total)
