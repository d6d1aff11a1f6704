"""Points of a curve, with errors: as JSON, as a table and as a figure."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from client.train.runs import write_json
from client.train.sheets import format_csv, format_markdown, write_text

COLOURS = ("#1b4f9c", "#d1741f", "#2f8f5b", "#8a4fa3", "#6b7280", "#b3323c")
MARKS = ("o", "s", "^", "D", "v", "P")

__all__ = ["Point", "Study", "write_study"]


@dataclass(frozen=True)
class Point:
    """One way of going about it: what it took, and what came of it."""

    name: str
    method: str
    x: float
    mean: float
    """Mean per-class accuracy on the targets."""
    error: float | None
    """Standard error over seeds; None for one seed."""
    seeds: int
    targets: tuple[str, ...]
    facts: dict[str, Any]
    """What else tells it from the others."""

    def document(self) -> dict[str, Any]:
        """As frontier.json, shots.json and the report carry it."""
        return {
            "name": self.name,
            "method": self.method,
            "x": self.x,
            "mean": self.mean,
            "error": self.error,
            "seeds": self.seeds,
            "targets": list(self.targets),
            **self.facts,
        }

    @property
    def series(self) -> str:
        """The curve it belongs to."""
        parts = [self.method]
        if self.facts.get("selection"):
            parts.append(str(self.facts["selection"]))
        if self.facts.get("views"):
            parts.append(f"{self.facts['views']} views")
        if self.facts.get("metered") is False:
            parts.append("fresh views, unmetered")
        return ", ".join(parts)


@dataclass(frozen=True)
class Study:
    """A finished grid as points, and the sentences that it allows."""

    x_name: str
    points: tuple[Point, ...]
    claims: tuple[dict[str, Any], ...]

    def document(self) -> dict[str, Any]:
        """As the JSON file carries it."""
        return {
            "x_name": self.x_name,
            "points": [point.document() for point in self.points],
            "claims": list(self.claims),
        }


def write_study(study: Study, name: str, out: Path) -> None:
    """OUT/<name>.json, table.md, table.csv, <name>.svg and <name>.png; the JSON last."""
    out.mkdir(parents=True, exist_ok=True)
    header, cells = _cells(study)
    said = [f"\n{claim['said']}\n" for claim in study.claims]
    write_text(out / "table.md", "".join((format_markdown(header, cells), *said)))
    write_text(out / "table.csv", format_csv([header, *cells]))
    _draw(study, out / name)
    write_json(out / f"{name}.json", study.document())


def _cells(study: Study) -> tuple[list[str], list[list[str]]]:
    names = list(study.points[0].facts) if study.points else []
    header = [
        "run",
        study.x_name,
        "OOD, %",
        "error",
        "seeds",
        *(n.replace("_", " ") for n in names),
    ]
    rows = []
    for point in study.points:
        error = "" if point.error is None else f"{100 * point.error:.2f}"
        known = [_write(point.facts[name]) for name in names]
        rows.append(
            [point.name, f"{point.x:g}", f"{100 * point.mean:.2f}", error, f"{point.seeds}", *known]
        )
    return header, rows


def _write(value: object) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else f"{value}"


def _draw(study: Study, stem: Path) -> None:
    """Accuracy over x, one line a series; far-off points are kept on the page by a log scale."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7.5, 4.2), layout="constrained")
    axes = figure.add_subplot()
    for number, (series, points) in enumerate(_group(study.points)):
        axes.errorbar(
            [point.x for point in points],
            [100 * point.mean for point in points],
            yerr=[100 * (point.error or 0.0) for point in points],
            label=series,
            color=COLOURS[number % len(COLOURS)],
            marker=MARKS[number % len(MARKS)],
            capsize=3,
        )
    positive = [point.x for point in study.points if point.x > 0]
    if positive and max(positive) > 20 * min(positive):
        axes.set_xscale("symlog", linthresh=min(positive))
    axes.set_xlabel(study.x_name)
    axes.set_ylabel("OOD mean per-class accuracy, %")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.3)
    if study.points:
        axes.legend(frameon=False, fontsize=8)
    # Without a date, the same results give the same file.
    figure.savefig(stem.with_suffix(".svg"), metadata={"Date": None})
    figure.savefig(stem.with_suffix(".png"), dpi=150)


def _group(points: Sequence[Point]) -> list[tuple[str, list[Point]]]:
    """Series by name, each along x; a way of choosing shares begins at none and ends at all."""
    series: dict[str, list[Point]] = {}
    for point in points:
        series.setdefault(point.series, []).append(point)
    for found in series.values():
        if found[0].facts.get("selection"):
            found += [point for point in points if _is_end(point, found[0])]
    return [(name, sorted(found, key=lambda point: point.x)) for name, found in series.items()]


def _is_end(point: Point, inner: Point) -> bool:
    """Whether every selection of the inner point's method and views comes to this point."""
    if point.facts["share"] == 0:
        return True
    same = point.method == inner.method and point.facts["views"] == inner.facts["views"]
    return same and point.facts["share"] == 1 and bool(point.facts["metered"])
