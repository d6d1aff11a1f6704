"""Rows of runs over targets and seeds, each made once, and what they say brought together."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from client.train.comparison import read_outcome
from client.train.config import TrainConfig
from client.train.experiment import Experiment
from client.train.job import label_report
from client.train.recipe import run_training
from client.train.runs import RunFolder
from client.train.statistics import Interval, paired_bootstrap
from client.train.summary import average_seeds

Progress = Callable[[str, int, int], None]
Line = dict[str, Any]
OOD = "ood_class_acc"

__all__ = ["Cell", "Grid", "Progress", "Row", "compare_rows", "run_grid"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One setting to be run on every target and seed."""

    name: str
    """Names its folder."""
    config: TrainConfig
    """Targets and trial seed are replaced."""
    scorer: str | None = None
    """The cell whose student says which pictures this one asks about; it comes earlier."""


@dataclass(frozen=True)
class Row:
    """A cell and its runs' result lines, target after target, seed after seed."""

    cell: Cell
    lines: tuple[Line, ...]
    folders: tuple[Path, ...]

    def average(self, read: Callable[[Line], float]) -> float:
        """The mean over targets and seeds."""
        return float(np.mean([read(line) for line in self.lines]))

    @property
    def accuracy(self) -> float:
        """Mean over targets and seeds of the mean per-class accuracy on the targets."""
        return self.average(lambda line: float(line[OOD]))

    @property
    def error(self) -> float | None:
        """Standard error over seeds of the mean over targets; None for a single seed."""
        return average_seeds(self.lines, OOD)[1]


@dataclass(frozen=True)
class Grid:
    """What is run."""

    cells: tuple[Cell, ...]
    targets: tuple[str, ...]
    """Each is left out once."""
    seeds: int


def run_grid(
    experiment: Experiment,
    grid: Grid,
    out: Path,
    *,
    report: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> dict[str, Row]:
    """Name → row, in the grid's order; runs that are there already are read, not made again.

    Runs live in OUT/<target>/<cell>/seed<k>. Raises MissingVectors before the first training when
    anything that can be known then is not bought; Interrupted when `stop` says so.
    """
    for cell in grid.cells:
        for config in _configs(grid, cell, out):
            if cell.scorer is None:
                fold = experiment.fold(config.targets, config)
                experiment.require_vectors(config, [fold])
    rows = {}
    for cell in grid.cells:
        configs = _configs(grid, cell, out)
        folders = tuple(_folder(out, cell.name, config) for config in configs)
        lines = tuple(
            _run(experiment, config, folder, _label(report, cell, config), stop)
            for config, folder in zip(configs, folders, strict=True)
        )
        rows[cell.name] = Row(cell, lines, folders)
    return rows


def compare_rows(
    experiment: Experiment, one: Row, other: Row, *, level: float, repeats: int = 2000
) -> Interval:
    """By how much the first row's accuracy exceeds the second's on the targets, paired run by run
    and resampled by drawing. Raises TrainingError when answers are missing."""
    first, second = (
        [
            read_outcome(RunFolder(folder), experiment.fold(tuple(line["targets"])))
            for line, folder in zip(row.lines, row.folders, strict=True)
        ]
        for row in (one, other)
    )
    return paired_bootstrap(
        [outcome.right for outcome in first],
        [outcome.right for outcome in second],
        [outcome.labels for outcome in first],
        [outcome.groups for outcome in first],
        level=level,
        repeats=repeats,
    )


def _run(
    experiment: Experiment,
    config: TrainConfig,
    folder: Path,
    report: Progress,
    stop: Callable[[], bool],
) -> Line:
    return run_training(experiment.job(config, folder, report=report, stop=stop))


def _configs(grid: Grid, cell: Cell, out: Path) -> list[TrainConfig]:
    first = cell.config.trial_seed
    return [
        _place(cell, target, first + number, out)
        for target in grid.targets
        for number in range(grid.seeds)
    ]


def _place(cell: Cell, target: str, seed: int, out: Path) -> TrainConfig:
    scored = f"{out / target / cell.scorer / f'seed{seed}'}" if cell.scorer else ""
    config = replace(cell.config, targets=(target,), trial_seed=seed)
    # Checked when it is made: uncertainty needs its scorer from the start.
    return replace(config, scored_by=scored, selection="uncertainty") if scored else config


def _folder(out: Path, name: str, config: TrainConfig) -> Path:
    return out / config.targets[0] / name / f"seed{config.trial_seed}"


def _label(report: Progress, cell: Cell, config: TrainConfig) -> Progress:
    return label_report(report, f"{config.targets[0]} · {cell.name} · seed {config.trial_seed}")
