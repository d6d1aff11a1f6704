"""Runs brought together: one row a method, as Markdown, CSV and JSON."""

import csv
import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from client.train.results import is_converged
from client.train.runs import write_json
from client.train.spending import Spending
from shared.money import show_usd

__all__ = ["Summary", "summarise", "table_cells", "write_tables"]


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
