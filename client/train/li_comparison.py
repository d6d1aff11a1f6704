"""Methods held against each other on the same pictures of unseen classes."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from client.train.experiment import Experiment
from client.train.li_evaluation import UnseenAnswers, load_unseen
from client.train.li_folds import ClassFold, make_class_fold
from client.train.li_statistics import Difference, Paired, paired_difference
from client.train.li_study import SUFFIX, UnseenPlan
from client.train.li_tables import Table

__all__ = ["compare_methods", "tabulate_differences"]


def tabulate_differences(experiment: Experiment, plan: UnseenPlan, out: Path) -> Table:
    """Each method less the first one, and descriptions less none: points with a 95 % interval."""
    rows: list[dict[str, Any]] = []
    for shots in plan.shots:
        for better, base in dict.fromkeys(_pairs(plan.methods)):
            found = compare_methods(experiment, plan, out, (better, base), shots)
            named = {"better": better, "base": base, "class_shots": shots}
            rows.append({**named, **found.document(), "class_splits": plan.splits})
    header = ("difference", "shots", "points", "95 % interval", "class splits")
    return Table("differences", header, tuple(map(_cells, rows)), tuple(rows))


def compare_methods(
    experiment: Experiment, plan: UnseenPlan, out: Path, pair: tuple[str, str], shots: int
) -> Difference:
    """(first − second) in mean per-class accuracy among the unseen labels, over finished runs.

    Raises TrainingError when a run's answers are not there.
    """
    splits = []
    for split in range(plan.splits):
        fold = make_class_fold(experiment.manifest, experiment.split, split)
        better, base = (
            _share_right(
                fold,
                [
                    load_unseen(plan.folder(out, method, split, seed, shots))
                    for seed in range(plan.seeds)
                ],
            )
            for method in pair
        )
        rows = np.array(sorted(better), dtype=np.int64)
        splits.append(
            Paired(
                labels=fold.labels(rows),
                groups=[fold.manifest.pictures[row].group for row in rows],
                better=np.array([better[row] for row in rows.tolist()]),
                base=np.array([base[row] for row in rows.tolist()]),
            )
        )
    return paired_difference(splits)


def _share_right(fold: ClassFold, trials: list[UnseenAnswers]) -> dict[int, float]:
    """Picture → share of the trials that tested it and were right."""
    columns, marks = fold.columns(fold.classes.unseen), dict[int, list[bool]]()
    for trial in trials:
        right = trial.answers(columns) == fold.labels(trial.rows)
        for row, mark in zip(trial.rows.tolist(), right.tolist(), strict=True):
            marks.setdefault(row, []).append(mark)
    return {row: float(np.mean(found)) for row, found in marks.items()}


def _pairs(methods: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for method in methods[1:]:
        yield method, methods[0]
    for method in methods:
        plain = method.removesuffix(SUFFIX)
        if plain != method and plain in methods:
            yield method, plain


def _cells(row: dict[str, Any]) -> tuple[str, ...]:
    points = [f"{100 * row[key]:+.1f}" for key in ("difference", "low", "high")]
    return (
        f"{row['better']} − {row['base']}",
        str(row["class_shots"]),
        points[0],
        f"{points[1]} to {points[2]}",
        str(row["class_splits"]),
    )
