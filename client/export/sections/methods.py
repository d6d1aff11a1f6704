"""The comparison: a row a method, the differences between methods, and every run."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.export.blocks import Block, Section, Table, Text
from client.export.evidence import ReportedRun
from client.train.methods import METHODS
from client.train.runs import read_json
from client.train.spending import Spending
from client.train.summary import summarise, table_cells

__all__ = ["describe_methods", "describe_runs"]


def describe_methods(
    runs: Sequence[ReportedRun], folders: Sequence[Path], left_out: int
) -> Section:
    """The method table, and the paired differences where the bench has written some.

    left_out: runs with fewer labels or queries, which only the curves show.
    """
    results = [run.result for run in runs]
    header, cells = table_cells(summarise(results, _find_spending(runs, folders)))
    several = len({run.seed for run in runs}) > 1
    blocks: list[Block] = [
        Table("Accuracy and cost of each method, mean over target domains", header, cells),
        Text(
            "Accuracy: mean per-class, per cent; in-domain on the held-out part of the source "
            "domains, OOD on every picture of the target domain"
            f"{'; ± one standard error over seeds' if several else ''}. Queries and cost: what was "
            "paid for the vectors a method learns from; asking the teacher in order to test it is "
            "counted apart, under evaluation. “Not converged”: source validation under three times "
            "chance, or more than five points behind ERM.",
            soft=True,
        ),
    ]
    if left_out:
        blocks.append(
            Text(
                f"{left_out} runs of these folders learned from fewer labels or queries; they are in "
                "the curves below and not in these tables.",
                soft=True,
            )
        )
    return Section("Methods", [*blocks, *_describe_differences(folders)])


def describe_runs(runs: Sequence[ReportedRun]) -> Section:
    """A row a run, with its settings."""
    header = ["run", "target", "seed", "learning rate", "λ", "steps", "in-domain", "OOD", "seconds"]
    config = runs[0].config
    teachers = {f"{r.config['model']}@{r.config['revision']}" for r in runs if r.config["revision"]}
    students = {run.student_name for run in runs if METHODS[run.method].trains}
    return Section(
        "Runs",
        [
            Table("Every run with its settings", header, [_describe_run(run) for run in runs]),
            Text(
                f"Student {', '.join(sorted(students)) or 'none'} at {config['image_size']} px; "
                f"teacher {', '.join(sorted(teachers)) or 'none'}; data {config['data']}.",
                soft=True,
            ),
        ],
    )


def _describe_differences(folders: Sequence[Path]) -> list[Block]:
    rows = [row for folder in folders for row in _read_differences(folder)]
    if not rows:
        return []
    level = f"{100 * rows[0].get('level', 0.95):g} %"
    cells = [
        [
            f"{row['a']} − {row['b']}",
            f"{100 * row['mean']:+.1f}",
            f"{100 * row['low']:+.1f} to {100 * row['high']:+.1f}",
            "yes" if row["low"] > 0 or row["high"] < 0 else "no",
        ]
        for row in rows
    ]
    header = ["difference", "OOD points", f"{level} interval", "excludes 0"]
    caption = "Differences between methods on the same pictures"
    said = (
        "Mean per-class accuracy out of domain, in points, paired by target and seed; the interval is "
        "by bootstrap over drawings, so it speaks of other pictures, not of other trainings."
    )
    return [Table(caption, header, cells), Text(said, soft=True)]


def _read_differences(folder: Path) -> list[dict[str, Any]]:
    file = folder / "summary.json"
    return list(read_json(file).get("differences", [])) if file.is_file() else []


def _find_spending(runs: Sequence[ReportedRun], folders: Sequence[Path]) -> dict[str, Spending]:
    """Method → what it cost: by the bench's own count over its folds, else of the dearest run."""
    for folder in folders:
        file = folder / "summary.json"
        if file.is_file():
            rows = read_json(file)["rows"]
            return {row["method"]: Spending.from_document(row["spending"]) for row in rows}
    found: dict[str, Spending] = {}
    for run in runs:
        paid = Spending.from_document(run.result["spending"])
        if run.method not in found or _total(paid) > _total(found[run.method]):
            found[run.method] = paid
    return {name: found[name] for name in METHODS if name in found}


def _total(spending: Spending) -> int:
    return spending.training.cost_nanousd + spending.evaluation.cost_nanousd


def _describe_run(run: ReportedRun) -> list[str]:
    result, config = run.result, run.config
    trains, weighs = METHODS[run.method].trains, METHODS[run.method].weighs_images
    outside = result["ood_class_acc"]
    return [
        run.method,
        run.target or "–",
        str(run.seed),
        f"{config['lr']:g}" if trains else "–",
        f"{config['image_weight']:g}" if weighs else "–",
        str(config["steps"]) if trains else "–",
        f"{100 * result['in_domain_class_acc']:.1f}",
        "–" if outside is None else f"{100 * outside:.1f}",
        f"{result['seconds']:.0f}",
    ]
