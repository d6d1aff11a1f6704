"""Runs brought together: one row a method."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from client.train.methods import find_method
from client.train.results import is_converged
from client.train.spending import Spending
from client.train.statistics import Interval, average
from shared.money import show_usd

LABELS_ALONE = ("erm", "lp-ft")
"""Methods that say how well the labels alone can be learned."""

__all__ = ["Summary", "average_seeds", "summarise", "table_cells"]

_ALWAYS = (
    "method",
    "in-domain",
    "OOD",
    "image queries",
    "text queries",
    "cost",
    "evaluation queries",
    "evaluation cost",
    "note",
)


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
    interval: Interval | None = None
    """Out of domain: 95 % interval over drawings, where the runs' answers were read."""
    oracle: float | None = None
    """What choosing on the target domain itself would have read (`oracle.read_oracle`); no part of
    any claim."""
    points_per_1000: float | None = None
    """Out-of-domain points (hundredths of accuracy) per 1,000 paid image queries: this row's mean
    less the base row's, times 100, over the distinct training images whose vectors were paid for in
    the whole comparison, times 1,000. An image that serves several folds and seeds counts once, as it
    is paid once; class texts and evaluation queries do not count. The base is text-only's row, or
    without one the best trained row that paid for no image. None for a row without paid images, and
    without a base."""

    def document(self) -> dict[str, Any]:
        """As summary.json and the report carry it."""
        return {
            "method": self.method,
            "runs": self.runs,
            "in_domain_class_acc": self.in_domain,
            "in_domain_se": self.in_domain_error,
            "ood_class_acc": self.out_of_domain,
            "ood_se": self.out_of_domain_error,
            "ood_interval": self.interval.document() if self.interval else None,
            "oracle_ood_class_acc": self.oracle,
            "ood_points_per_1000_image_queries": self.points_per_1000,
            "converged": self.converged,
            "spending": self.spending.document(),
        }


def summarise(
    lines: Sequence[dict[str, Any]],
    spending: dict[str, Spending],
    *,
    intervals: Mapping[str, Interval] | None = None,
    oracles: Mapping[str, float] | None = None,
) -> list[Summary]:
    """One row a method, in the order of `spending`."""
    outside = {name: average_seeds(_of(lines, name), "ood_class_acc") for name in spending}
    base = _find_base(spending, {name: mean for name, (mean, _) in outside.items()})
    rows = []
    for method, paid in spending.items():
        mine = _of(lines, method)
        inside, inside_error = average_seeds(mine, "in_domain_class_acc")
        mean, error = outside[method]
        rows.append(
            Summary(
                method=method,
                runs=len(mine),
                in_domain=inside,
                in_domain_error=inside_error,
                out_of_domain=mean,
                out_of_domain_error=error,
                converged=all(is_converged(line, _erm_of(line, lines)) for line in mine),
                spending=paid,
                interval=(intervals or {}).get(method),
                oracle=(oracles or {}).get(method),
                points_per_1000=_gain(mean, base, paid),
            )
        )
    return rows


def table_cells(rows: Sequence[Summary]) -> tuple[list[str], list[list[str]]]:
    """(header, cells) of the method table, as printed, written and shown in the report.

    Accuracies are mean per class in per cent, ± the standard error over seeds. Columns that no row
    fills are left out.
    """
    columns = _columns(rows)
    kept = [name for name in columns if name in _ALWAYS or any(columns[name])]
    cells = [[columns[name][place] for name in kept] for place in range(len(rows))]
    return kept, cells


def _of(lines: Sequence[dict[str, Any]], method: str) -> list[dict[str, Any]]:
    return [line for line in lines if line["method"] == method]


def _find_base(spending: Mapping[str, Spending], outside: Mapping[str, float]) -> float | None:
    """What is reached without paying for an image (`Summary.points_per_1000`)."""
    if "text-only" in outside:
        return outside["text-only"]
    free = [name for name, paid in spending.items() if not paid.training.images]
    return max((outside[name] for name in free if find_method(name).trains), default=None)


def _gain(mean: float, base: float | None, paid: Spending) -> float | None:
    if base is None or not paid.training.images:
        return None
    return 100 * (mean - base) / (paid.training.images / 1000)


def average_seeds(lines: Sequence[dict[str, Any]], key: str) -> tuple[float, float | None]:
    """(mean, standard error over seeds) of a figure that is first averaged over the targets."""
    seeds = sorted({line["trial_seed"] for line in lines})
    means = [
        float(np.mean([line[key] for line in lines if line["trial_seed"] == s])) for s in seeds
    ]
    return average(means)


def _erm_of(line: dict[str, Any], lines: Sequence[dict[str, Any]]) -> dict[str, Any] | None:
    for other in lines:
        same = all(other[key] == line[key] for key in ("targets", "trial_seed"))
        if other["method"] in LABELS_ALONE and same:
            return other
    return None


def _columns(rows: Sequence[Summary]) -> dict[str, list[str]]:
    learned = [row.spending.training for row in rows]
    tested = [row.spending.evaluation for row in rows]
    return {
        "method": [row.method for row in rows],
        "in-domain": [_percent(row.in_domain, row.in_domain_error) for row in rows],
        "OOD": [_percent(row.out_of_domain, row.out_of_domain_error) for row in rows],
        "OOD 95 % interval": [_interval(row) for row in rows],
        "oracle OOD (chosen on the target)": [
            "" if row.oracle is None else f"{100 * row.oracle:.1f}" for row in rows
        ],
        "image queries": [str(bill.images) for bill in learned],
        "text queries": [str(bill.texts) for bill in learned],
        "cost": [show_usd(bill.cost_nanousd) for bill in learned],
        "OOD points per 1,000 images": [
            "" if row.points_per_1000 is None else f"{row.points_per_1000:+.2f}" for row in rows
        ],
        "evaluation queries": [str(bill.images + bill.texts) for bill in tested],
        "evaluation cost": [show_usd(bill.cost_nanousd) for bill in tested],
        "note": ["" if row.converged else "not converged" for row in rows],
    }


def _interval(row: Summary) -> str:
    if row.interval is None:
        return ""
    return f"{100 * row.interval.low:.1f} to {100 * row.interval.high:.1f}"


def _percent(value: float, error: float | None) -> str:
    return f"{100 * value:.1f}" if error is None else f"{100 * value:.1f} ± {100 * error:.1f}"
