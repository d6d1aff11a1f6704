"""A comparison as a picture: accuracy per method, with its interval."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from matplotlib import rc_context
from matplotlib.figure import Figure

from client.train.summary import Summary

INK = "#1b4f9c"

__all__ = ["Bar", "draw_bars", "make_bars"]


@dataclass(frozen=True, slots=True)
class Bar:
    """One method's accuracy in per cent, with the ends of its interval where it has one."""

    label: str
    value: float
    low: float | None = None
    high: float | None = None


def make_bars(rows: Sequence[Summary]) -> list[Bar]:
    """Each row's accuracy out of domain."""
    bars = []
    for row in rows:
        ends = (row.interval.low, row.interval.high) if row.interval else (None, None)
        low, high = (None if end is None else 100 * end for end in ends)
        bars.append(Bar(row.method, 100 * row.out_of_domain, low, high))
    return bars


def draw_bars(bars: Sequence[Bar], title: str, stem: Path) -> list[Path]:
    """STEM.svg and STEM.png: a dot a method, its interval as a line; returns the files."""
    figure = Figure(figsize=(7, 0.9 + 0.36 * len(bars)), layout="constrained")
    axes = figure.add_subplot()
    for place, bar in enumerate(bars):
        if bar.low is not None and bar.high is not None:
            axes.plot((bar.low, bar.high), (place, place), color=INK, linewidth=2, alpha=0.5)
        axes.plot(bar.value, place, "o", color=INK)
        axes.annotate(
            f"{bar.value:.1f}", (bar.value, place), (0, 6), textcoords="offset points", ha="center"
        )
    axes.set_yticks(range(len(bars)), [bar.label for bar in bars])
    axes.set_ylim(len(bars) - 0.4, -0.7)
    axes.set_xlabel("mean per-class accuracy, %; lines: 95 % interval over drawings")
    axes.set_title(title, fontsize=10)
    return _save(figure, stem)


def _save(figure: Figure, stem: Path) -> list[Path]:
    """The same data gives the same bytes: no date, and ids that are no random ones."""
    files = []
    for suffix, options in ((".svg", {"metadata": {"Date": None}}), (".png", {"dpi": 150})):
        file = stem.with_name(stem.name + suffix)
        partial = stem.with_name(f".{stem.name}.partial{suffix}")
        with rc_context({"svg.hashsalt": "vl2v"}):
            figure.savefig(partial, **options)
        partial.replace(file)
        files.append(file)
    return files
