"""The comparison: every target domain × method × seed, resumable, and its tables."""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from client.train.comparison import Difference, compare_methods, read_outcome, score_methods
from client.train.config import TrainConfig
from client.train.experiment import Experiment
from client.train.fold import Fold
from client.train.job import label_report
from client.train.methods import find_method
from client.train.oracle import read_oracle
from client.train.pace import Pace, Standing, count_work
from client.train.provenance import describe_provenance
from client.train.recipe import run_training
from client.train.runs import RunFolder, read_json, write_json
from client.train.selection import Grid, Settings, apply_settings, is_tunable, select
from client.train.spending import count_spending
from client.train.summary import Summary, summarise
from client.train.tables import write_tables

__all__ = ["BenchPlan", "Comparison", "Grid", "run_bench"]

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
    grid: Grid | None = None
    """What each fold's settings are first chosen from, by source validation."""
    oracle: bool = False
    """Whether to show beside each row what choosing on the target would have read."""
    rates: Mapping[str, float] = field(default_factory=dict)
    """Learning rates of methods that have one of their own; the config's for the others."""


@dataclass(frozen=True)
class Comparison:
    """What a bench comes to."""

    rows: list[Summary]
    differences: list[Difference]
    lines: list[dict[str, Any]]
    """Each run's result, and under `provenance` the commit, machine and day that made it."""


@dataclass(frozen=True)
class _Made:
    """One finished run."""

    folder: RunFolder
    fold: Fold
    line: dict[str, Any]


def run_bench(
    experiment: Experiment,
    plan: BenchPlan,
    out: Path,
    *,
    report: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
    hear: Callable[[Standing], None] = lambda standing: None,
) -> Comparison:
    """Make every run that is not there yet under OUT/<target>/<method>/seed<k>, then the tables.

    With a grid, each (target, method) first makes its trials under its folder's `selection` and keeps
    one choice for all seeds. `report` hears stages, `hear` each finished run or choice. Raises
    MissingVectors before the first training when a method's vectors are not all bought.
    """
    for method in plan.methods:
        configs = [c for target in plan.targets for c in _plan_runs(plan, method, target)]
        folds = [experiment.fold(config.targets, config) for config in configs]
        experiment.require_vectors(replace(plan.config, method=method), folds)
    bench = _Bench(experiment, plan, out, report, stop, hear, _start_pace(plan))
    made = [
        one for target in plan.targets for name in plan.methods for one in bench.run(target, name)
    ]
    comparison = _compare(experiment, plan, out, made)
    write_tables(comparison.rows, comparison.lines, out, comparison.differences)
    return comparison


@dataclass(frozen=True)
class _Bench:
    """A plan under way."""

    experiment: Experiment
    plan: BenchPlan
    out: Path
    report: Progress
    stop: Callable[[], bool]
    hear: Callable[[Standing], None]
    pace: Pace

    def run(self, target: str, method: str) -> Iterator[_Made]:
        """The choice, then each seed; an untrained method runs once."""
        configs = _plan_runs(self.plan, method, target)
        settings = self._choose(configs[0])
        for config in configs:
            yield self._train(apply_settings(config, settings))

    def _train(self, config: TrainConfig) -> _Made:
        label = f"{config.targets[0]} · {config.method} · seed {config.trial_seed}"
        folder = self._folder(config) / f"seed{config.trial_seed}"
        report = label_report(self.report, label)
        job = self.experiment.job(config, folder, report=report, stop=self.stop)
        found, stamp = job.folder.is_done, folder / "provenance.json"
        if not found:
            # Before the run, so that a finished one always says which code finished it.
            folder.mkdir(parents=True, exist_ok=True)
            write_json(stamp, describe_provenance())
        line = run_training(job)
        self.hear(self.pace.finish(label, count_work(config), found=found))
        origin = read_json(stamp) if stamp.is_file() else None
        return _Made(job.folder, job.fold, {**line, "provenance": origin})

    def _choose(self, config: TrainConfig) -> Settings:
        """The fold's best settings, by the first seed; one point, or none, needs no trial."""
        points = _points(self.plan, config.method)
        if self.plan.grid is None or len(points) < 2:
            return points[0] if points else {}
        folder = self._folder(config) / "selection"
        found = (folder / "choice.json").is_file()
        trial = replace(config, steps=self.plan.grid.steps or config.steps)
        label = f"{config.targets[0]} · {config.method} · choice"
        choice = select(
            self.experiment,
            trial,
            folder,
            points,
            report=label_report(self.report, label),
            stop=self.stop,
        )
        work = len(points) * count_work(trial)
        self.hear(self.pace.finish(label, work, found=found))
        return choice.settings

    def _folder(self, config: TrainConfig) -> Path:
        return self.out / config.targets[0] / config.method


def _plan_runs(plan: BenchPlan, method: str, target: str) -> list[TrainConfig]:
    """A method's runs on one target before any choice: a seed each, and one where nothing is trained."""
    rate = plan.rates.get(method, plan.config.lr)
    config = replace(plan.config, method=method, targets=(target,), lr=rate)
    seeds = range(plan.seeds if find_method(method).trains else 1)
    return [replace(config, trial_seed=config.trial_seed + seed) for seed in seeds]


def _points(plan: BenchPlan, method: str) -> list[Settings]:
    if plan.grid is None or not is_tunable(method):
        return []
    return plan.grid.configurations(method)


def _start_pace(plan: BenchPlan) -> Pace:
    """Everything there is to do, so that the first run can already tell what is left."""
    runs = work = 0
    for method in plan.methods:
        points, configs = _points(plan, method), _plan_runs(plan, method, plan.targets[0])
        runs += len(configs)
        work += sum(map(count_work, configs))
        if plan.grid is not None and len(points) > 1:
            trial = replace(configs[0], steps=plan.grid.steps or plan.config.steps)
            runs += 1
            work += len(points) * count_work(trial)
    return Pace(runs * len(plan.targets), work * len(plan.targets))


def _compare(experiment: Experiment, plan: BenchPlan, out: Path, made: list[_Made]) -> Comparison:
    spending = {
        name: count_spending(
            find_method(name),
            [one.fold for one in made if one.line["method"] == name],
            experiment.teacher(replace(plan.config, method=name)),
        )
        for name in plan.methods
    }
    outcomes = [read_outcome(one.folder, one.fold) for one in made]
    rows = summarise(
        [one.line for one in made],
        spending,
        intervals=score_methods(outcomes),
        oracles=_read_oracles(experiment, plan, out, made) if plan.oracle else {},
    )
    return Comparison(rows, compare_methods(outcomes), [one.line for one in made])


def _read_oracles(
    experiment: Experiment, plan: BenchPlan, out: Path, made: list[_Made]
) -> dict[str, float]:
    """Method → its oracle's mean over the targets, where each target has trials to choose among."""
    found = {}
    for method in plan.methods:
        readings = []
        for target in plan.targets:
            mine = [
                one
                for one in made
                if one.line["method"] == method and one.line["targets"] == [target]
            ]
            trials = out / target / method / "selection"
            fold, runs = mine[0].fold, [one.folder for one in mine]
            readings.append(read_oracle(experiment, fold, runs, trials))
        known = [reading for reading in readings if reading is not None]
        if len(known) == len(plan.targets):
            found[method] = sum(known) / len(known)
    return found
