"""The comparison: every target domain × method × seed, resumable, and its tables."""

import csv
import io
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from client.train.config import TrainConfig
from client.train.experiment import Experiment
from client.train.methods import METHODS, find_method
from client.train.recipe import Job, run_training
from client.train.results import is_converged
from client.train.runs import RunFolder, write_json
from client.train.selection import select
from client.train.spending import Spending, count_spending
from shared.money import show_usd

__all__ = ["BenchPlan", "Summary", "run_bench", "summarise", "write_tables"]

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


@dataclass(frozen=True, slots=True)
class Summary:
    """One method's row."""

    method: str
    runs: int
    in_domain: float
    """Mean over targets and seeds of the mean per-class accuracy on the sources' validation parts."""
    in_domain_error: float | None
    """Standard error over seeds; None for a single seed or an untrained method."""
    out_of_domain: float
    out_of_domain_error: float | None
    converged: bool
    spending: Spending

    def document(self) -> dict[str, Any]:
        """As summary.json and the report carry it."""
        return {
            "method": self.method,
            "runs": self.runs,
            "in_domain_class_acc": self.in_domain,
            "in_domain_se": self.in_domain_error,
            "ood_class_acc": self.out_of_domain,
            "ood_se": self.out_of_domain_error,
            "converged": self.converged,
            "spending": self.spending.document(),
        }


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
        _check_vectors(experiment, replace(plan.config, method=method), list(folds.values()))
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


def summarise(lines: Sequence[dict[str, Any]], spending: dict[str, Spending]) -> list[Summary]:
    """One row a method, in the order of `spending`."""
    rows = []
    for method, paid in spending.items():
        mine = [line for line in lines if line["method"] == method]
        inside, inside_error = _over_seeds(mine, "in_domain_class_acc")
        outside, outside_error = _over_seeds(mine, "ood_class_acc")
        rows.append(
            Summary(
                method=method,
                runs=len(mine),
                in_domain=inside,
                in_domain_error=inside_error,
                out_of_domain=outside,
                out_of_domain_error=outside_error,
                converged=all(is_converged(line, _erm_of(line, lines)) for line in mine),
                spending=paid,
            )
        )
    return rows


def write_tables(rows: Sequence[Summary], lines: Sequence[dict[str, Any]], out: Path) -> None:
    """OUT/table.md, table.csv (a row a method), runs.csv (a row a run) and summary.json."""
    write_json(out / "summary.json", {"rows": [row.document() for row in rows]})
    header, cells = table_cells(rows)
    (out / "table.csv").write_text(_csv([header, *cells]), encoding="utf-8")
    markdown = [header, ["---"] * len(header), *cells]
    text = "".join("| " + " | ".join(line) + " |\n" for line in markdown)
    (out / "table.md").write_text(text, encoding="utf-8")
    keys = ["method", "trial_seed", "in_domain_acc", "in_domain_class_acc", "ood_acc"]
    keys += ["ood_class_acc", "seconds"]
    body = [[",".join(line["targets"]), *(str(line[key]) for key in keys)] for line in lines]
    (out / "runs.csv").write_text(_csv([["target", *keys], *body]), encoding="utf-8")


def table_cells(rows: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """(header, cells) of the method table, as printed, written and shown in the report."""
    header = ["method", "in-domain", "OOD", "image queries", "text queries", "cost"]
    header += ["evaluation queries", "evaluation cost", "note"]
    return header, [_cells(row) for row in rows]


def _cells(row: Summary) -> list[str]:
    learned, tested = row.spending.training, row.spending.evaluation
    return [
        row.method,
        _percent(row.in_domain, row.in_domain_error),
        _percent(row.out_of_domain, row.out_of_domain_error),
        str(learned.images),
        str(learned.texts),
        show_usd(learned.cost_nanousd),
        str(tested.images + tested.texts),
        show_usd(tested.cost_nanousd),
        "" if row.converged else "not converged",
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
            if plan.selects and trains:
                trials = out / target / method / "selection"
                choice = select(experiment, config, trials, report=report, stop=stop)
                config = replace(config, lr=choice.lr, image_weight=choice.image_weight)
            seeds = range(plan.seeds if trains else 1)
            found += [replace(config, trial_seed=plan.config.trial_seed + s) for s in seeds]
    return found


def _check_vectors(experiment: Experiment, config: TrainConfig, folds: list[Any]) -> None:
    """Ask for everything that the method reads on any fold, so that nothing is missing midway."""
    method, teacher = find_method(config.method), experiment.teacher(config)
    if teacher is None:
        return
    for fold in folds:
        teacher.read_texts(fold)
        if method.reads_images:
            teacher.read_images(fold, fold.training)
        elif not method.trains:
            rows = np.union1d(fold.validation, fold.tested)
            teacher.read_images(fold, rows, "evaluation")


def _over_seeds(lines: Sequence[dict[str, Any]], key: str) -> tuple[float, float | None]:
    """(mean, standard error over seeds) of a figure that is first averaged over the targets."""
    seeds = sorted({line["trial_seed"] for line in lines})
    means = [np.mean([line[key] for line in lines if line["trial_seed"] == s]) for s in seeds]
    if len(means) < 2:
        return float(np.mean(means)), None
    return float(np.mean(means)), float(np.std(means, ddof=1) / math.sqrt(len(means)))


def _erm_of(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for other in lines:
        same = all(other[key] == line[key] for key in ("targets", "trial_seed"))
        if other["method"] == "erm" and same:
            return other
    return None


def _percent(value: float, error: float | None) -> str:
    return f"{100 * value:.1f}" if error is None else f"{100 * value:.1f} ± {100 * error:.1f}"


def _csv(rows: Sequence[Sequence[str]]) -> str:
    """CSV text; a cell that a spreadsheet would run as a formula gets a quote in front."""
    out = io.StringIO()
    safe = [["'" + c if c[:1] in ("=", "+", "-", "@") and c else c for c in row] for row in rows]
    csv.writer(out).writerows(safe)
    return out.getvalue()


def _label(report: Progress, label: str) -> Progress:
    return lambda stage, done, total: report(f"{label} · {stage}", done, total)
