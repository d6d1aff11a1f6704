"""The comparison: every target domain × method × seed, resumable, and its tables."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

from client.train.config import TrainConfig
from client.train.experiment import Experiment
from client.train.methods import METHODS, find_method
from client.train.recipe import Job, run_training
from client.train.runs import RunFolder
from client.train.selection import select
from client.train.spending import count_spending
from client.train.summary import Summary, summarise, write_tables

__all__ = ["BenchPlan", "run_bench"]

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
    selects: bool = False
    """Whether each fold's learning rate and λ are first chosen by source validation."""


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
    folds = {target: experiment.fold((target,)) for target in plan.targets}
    for method in plan.methods:
        experiment.require_vectors(replace(plan.config, method=method), list(folds.values()))
    lines = []
    for config in _configs(experiment, plan, out, report, stop):
        label = f"{config.targets[0]} · {config.method} · seed {config.trial_seed}"
        job = Job(
            config=config,
            fold=folds[config.targets[0]],
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
            list(folds.values()),
            experiment.teacher(replace(plan.config, method=name)),
        )
        for name in plan.methods
    }
    rows = summarise(lines, spending)
    write_tables(rows, lines, out)
    return rows


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
            if plan.selects and trains:
                trials = out / target / method / "selection"
                choice = select(experiment, config, trials, report=report, stop=stop)
                config = replace(config, lr=choice.lr, image_weight=choice.image_weight)
            seeds = range(plan.seeds if trains else 1)
            found += [replace(config, trial_seed=plan.config.trial_seed + s) for s in seeds]
    return found


def _label(report: Progress, label: str) -> Progress:
    return lambda stage, done, total: report(f"{label} · {stage}", done, total)
