"""What a study of unseen classes found, as Markdown, CSV and JSON."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client.train.errors import TrainingError
from client.train.li_statistics import correlate_ranks
from client.train.runs import find_runs, write_json
from client.train.sheets import format_csv, format_markdown, write_text
from client.train.statistics import average
from shared.money import show_usd

PARTS = ("train", "ood")
"""Pictures that imitation is measured on: seen classes' training pictures, unseen classes' pictures."""
SHOWN = ("m_rel", "m_neigh_5", "m_vlalign_5", "mse")
"""Of the metrics on unseen classes, those beside the accuracies."""
ACCURACY_HEADER = (
    "method",
    "shots",
    "runs",
    "seen",
    "unseen",
    "unseen among all",
    "M_rel",
    "M_neigh(5)",
    "M_vlalign(5)",
    "MSE",
    "image queries",
    "text queries",
    "cost",
)
RUN_KEYS = (
    "variant",
    "class_split",
    "trial_seed",
    "class_shots",
    "in_domain_class_acc",
    "ood_class_acc",
    "ood_all_class_acc",
)

Line = dict[str, Any]

__all__ = [
    "Table",
    "collect_lines",
    "describe_line",
    "tabulate_accuracy",
    "tabulate_imitation",
    "write_tables",
]


@dataclass(frozen=True, slots=True)
class Table:
    """One table, as values for JSON and as cells for a person."""

    name: str
    header: tuple[str, ...]
    cells: tuple[tuple[str, ...], ...]
    rows: tuple[Line, ...]

    def markdown(self) -> str:
        """With a line between header and rows."""
        return format_markdown(self.header, self.cells)

    def csv(self) -> str:
        """A cell that a spreadsheet would run as a formula gets a quote in front."""
        return format_csv([self.header, *self.cells])


def collect_lines(folders: Sequence[Path]) -> list[Line]:
    """The result lines of `vl2v unseen` at or below the folders. Raises TrainingError for none."""
    runs = [run for folder in folders for run in find_runs(folder)]
    lines = [line for line in (run.result() for run in runs) if "ood_all_class_acc" in line]
    if not lines:
        places = ", ".join(map(str, folders))
        raise TrainingError(f"no finished run of `vl2v unseen` is below {places}: name its --out")
    return lines


def tabulate_accuracy(lines: Sequence[Line]) -> Table:
    """One row a method and number of shots: means over class splits and trials, and the cost."""
    found = dict.fromkeys((line["class_shots"], line["variant"]) for line in lines)
    rows = tuple(
        _summarise([x for x in lines if (x["class_shots"], x["variant"]) == key])
        for key in sorted(found, key=lambda key: int(key[0]))
    )
    return Table("accuracy", ACCURACY_HEADER, tuple(map(_accuracy_cells, rows)), rows)


def tabulate_imitation(lines: Sequence[Line]) -> Table:
    """Spearman's ρ of each metric with accuracy among the unseen labels: all runs, and by shots."""
    measured = [line for line in lines if line["imitation"]]
    shots = sorted({line["class_shots"] for line in measured})
    rows = []
    for part in PARTS:
        present = [line for line in measured if line["imitation"][part]]
        for metric in present[0]["imitation"][part] if present else ():
            row = {"metric": metric, "part": part, "runs": len(present)}
            row["rho"] = _correlate(present, part, metric)
            row["rho_by_shots"] = {
                str(k): _correlate([x for x in present if x["class_shots"] == k], part, metric)
                for k in shots
            }
            rows.append(row)
    header = ("metric", "pictures", "runs", "ρ, all runs", *(f"ρ, {k} shots" for k in shots))
    return Table("imitation", header, tuple(map(_imitation_cells, rows)), tuple(rows))


def write_tables(tables: Sequence[Table], lines: Sequence[Line], out: Path) -> None:
    """OUT/<table>.md and .csv, runs.csv (a row a run), summary.json and results.jsonl."""
    for table in tables:
        write_text(out / f"{table.name}.md", table.markdown())
        write_text(out / f"{table.name}.csv", table.csv())
    cells = tuple(tuple(str(line.get(key, "")) for key in RUN_KEYS) for line in lines)
    write_text(out / "runs.csv", Table("runs", RUN_KEYS, cells, ()).csv())
    write_text(out / "results.jsonl", "".join(json.dumps(line) + "\n" for line in lines))
    write_json(out / "summary.json", {table.name: list(table.rows) for table in tables})


def describe_line(line: Line) -> str:
    """One run in a sentence, with how it imitates the teacher."""
    text = (
        f"split {line['class_split']} · {line['variant']} · {line['class_shots']} shots: unseen "
        f"{line['ood_class_acc']:.1%}, among all {line['ood_all_class_acc']:.1%}, seen "
        f"{line['in_domain_class_acc']:.1%}"
    )
    for part, metrics in (line["imitation"] or {}).items():
        if metrics:
            shown = " ".join(f"{name} {value:.3f}" for name, value in metrics.items())
            text += f"\n  {part}: {shown}"
    return text


def _summarise(lines: Sequence[Line]) -> Line:
    first = lines[0]
    bills = [line["spending"]["training"] for line in lines if "spending" in line]
    row: Line = {
        "method": first["variant"],
        "class_shots": first["class_shots"],
        "runs": len(lines),
        "in_domain_class_acc": _mean(lines, "in_domain_class_acc"),
    }
    for key in ("ood_class_acc", "ood_all_class_acc"):
        row |= {key: _mean(lines, key), f"{key}_se": _split_error(lines, key)}
    for part in PARTS:
        present = [x["imitation"][part] for x in lines if x["imitation"] and x["imitation"][part]]
        row[part] = {name: _mean(present, name) for name in present[0]} if present else None
    for key in ("images", "texts", "cost_nanousd"):
        row[key] = round(_mean(bills, key) or 0)
    return row


def _accuracy_cells(row: Line) -> tuple[str, ...]:
    metrics = row["ood"] or {}
    return (
        row["method"],
        str(row["class_shots"]),
        str(row["runs"]),
        _percent(row["in_domain_class_acc"]),
        _percent(row["ood_class_acc"], row["ood_class_acc_se"]),
        _percent(row["ood_all_class_acc"], row["ood_all_class_acc_se"]),
        *(_number(metrics.get(name)) for name in SHOWN),
        str(row["images"]),
        str(row["texts"]),
        show_usd(row["cost_nanousd"]),
    )


def _imitation_cells(row: Line) -> tuple[str, ...]:
    rhos = (row["rho"], *row["rho_by_shots"].values())
    return row["metric"], row["part"], str(row["runs"]), *map(_number, rhos)


def _correlate(lines: Sequence[Line], part: str, metric: str) -> float | None:
    values = [float(line["imitation"][part][metric]) for line in lines]
    return correlate_ranks(values, [float(line["ood_class_acc"]) for line in lines])


def _mean(lines: Sequence[Line], key: str) -> float | None:
    values = [line[key] for line in lines if line.get(key) is not None]
    return float(np.mean(values)) if values else None


def _split_error(lines: Sequence[Line], key: str) -> float | None:
    """Standard error over class splits, trials averaged first; None for one split."""
    splits = sorted({line["class_split"] for line in lines})
    means = [_mean([x for x in lines if x["class_split"] == s], key) for s in splits]
    return average([mean for mean in means if mean is not None])[1]


def _percent(value: float | None, error: float | None = None) -> str:
    if value is None:
        return "–"
    return f"{100 * value:.1f}" if error is None else f"{100 * value:.1f} ± {100 * error:.1f}"


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}"
