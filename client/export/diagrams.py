"""The report's diagrams, each from plain numbers."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from numpy.typing import NDArray

from client.export.figures import COLOURS, INK, MARKS, Picture, drawing, make_svg, tidy
from client.train.calibration import BINS, Calibration

PANELS = 4
"""Domains side by side."""
WIDTH = 8.6
"""Inches."""

__all__ = [
    "Estimate",
    "draw_accuracy",
    "draw_confusion",
    "draw_curves",
    "draw_points",
    "draw_reliability",
]

Estimate = tuple[float, float | None]
"""(mean, standard error over seeds, where there are several)."""


def draw_accuracy(
    readings: Mapping[str, Mapping[str, Estimate]], domains: Sequence[str], targets: Sequence[str]
) -> Picture:
    """Method → domain → accuracy, a panel a domain, a dot a method with its error."""
    rows, columns = math.ceil(len(domains) / PANELS), min(len(domains), PANELS)
    methods = list(readings)
    with drawing(WIDTH, rows * (0.95 + 0.28 * len(methods))) as figure:
        grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
        for axes in grid.flat[len(domains) :]:
            axes.set_visible(False)
        for axes, domain in zip(grid.flat, domains, strict=False):
            unseen = domain in targets
            for place, method in enumerate(methods):
                if domain in readings[method]:
                    mean, error = readings[method][domain]
                    _draw_dot(axes, 100 * mean, place, 100 * (error or 0.0), filled=unseen)
            axes.set_title(f"{domain} (never seen)" if unseen else domain)
            axes.set_yticks(range(len(methods)), methods)
            axes.set_ylim(len(methods) - 0.5, -0.5)
            tidy(axes, "both")
        figure.supxlabel("mean per-class accuracy, %", fontsize=10)
        alt = (
            f"Dots: mean per-class accuracy of {len(methods)} methods in {len(domains)} domains, "
            "with the standard error over seeds; the numbers are in the table below the figure."
        )
        return make_svg(figure, alt)


def _draw_dot(axes: Any, mean: float, place: int, error: float, *, filled: bool) -> None:
    colour = COLOURS[1] if filled else COLOURS[0]
    axes.errorbar(mean, place, xerr=error, fmt="o", color=colour, capsize=3, markersize=6)
    axes.annotate(
        f"{mean:.0f}", (mean, place), (0, 5), textcoords="offset points", ha="center", fontsize=7
    )


def draw_curves(curves: Sequence[tuple[str, Sequence[Mapping[str, Any]]]]) -> Picture:
    """Two panels over steps: source validation, and each method's loss between its own extremes.

    Losses of different methods have no common scale.
    """
    lines = math.ceil(len(curves) / PANELS)
    with drawing(WIDTH, 2.9 + 0.24 * lines) as figure:
        left, right = figure.subplots(1, 2)
        figure.get_layout_engine().set(wspace=0.08)
        for number, (label, rows) in enumerate(curves):
            style = _style(number)
            seen = [(row["step"], 100 * row["validation"]) for row in rows if "validation" in row]
            lost = [(row["step"], row["loss"]) for row in rows if "loss" in row]
            if seen:
                left.plot(*zip(*seen, strict=True), marker=MARKS[number % len(MARKS)], **style)
            if lost:
                right.plot(*_rescale(lost), **style)
            # One legend for both panels: a method may appear in either alone.
            left.plot([], [], marker=MARKS[number % len(MARKS)], label=label, **style)
        left.set_ylabel("source validation, %")
        right.set_ylabel("training loss, each on its own scale")
        right.set_yticks([0, 1], ["lowest", "highest"])
        for axes in (left, right):
            axes.set_xlabel("step")
            tidy(axes)
        figure.legend(loc="outside lower center", ncols=PANELS, frameon=False, columnspacing=2.5)
        alt = (
            f"Lines over the training steps of {', '.join(label for label, _ in curves)}: accuracy on "
            "source validation, and training loss."
        )
        return make_svg(figure, alt)


def _rescale(points: Sequence[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Steps, and values from 0 at the lowest to 1 at the highest."""
    values = [value for _, value in points]
    span = max(values) - min(values) or 1.0
    return [step for step, _ in points], [(value - min(values)) / span for value in values]


def draw_points(series: Mapping[str, Sequence[Mapping[str, Any]]], x_name: str) -> Picture:
    """Series → points (x, mean, error) of frontier.json or shots.json, accuracy over x."""
    lines = math.ceil(len(series) / 3)
    with drawing(WIDTH, 3.6 + 0.24 * lines) as figure:
        axes = figure.add_subplot()
        for number, (label, points) in enumerate(series.items()):
            axes.errorbar(
                [point["x"] for point in points],
                [100 * point["mean"] for point in points],
                yerr=[100 * (point.get("error") or 0.0) for point in points],
                label=label,
                marker=MARKS[number % len(MARKS)],
                capsize=3,
                **_style(number),
            )
        positive = [p["x"] for points in series.values() for p in points if p["x"] > 0]
        if positive and max(positive) > 20 * min(positive):
            axes.set_xscale("symlog", linthresh=min(positive))
        axes.set_xlabel(x_name)
        axes.set_ylabel("mean per-class accuracy out of domain, %")
        tidy(axes)
        figure.legend(loc="outside lower center", ncols=3, frameon=False, columnspacing=2.5)
        alt = f"Lines: accuracy out of domain over {x_name}, for {', '.join(series)}."
        return make_svg(figure, alt)


def draw_confusion(shares: NDArray[np.float64], classes: Sequence[str]) -> Picture:
    """float[k, k] shares of each true class's pictures (rows) by the class that was said."""
    count = len(classes)
    side = min(8.6, max(3.4, 1.6 + 0.17 * count))
    blue = LinearSegmentedColormap.from_list("blue", [(0.18, 0.44, 0.77, 0.0), (0.18, 0.44, 0.77)])
    with drawing(side, side) as figure:
        axes = figure.add_subplot()
        axes.imshow(shares, cmap=blue, vmin=0, vmax=1, interpolation="nearest")
        size = 9 if count <= 15 else 6.5
        axes.set_xticks(range(count), classes, rotation=90, fontsize=size)
        axes.set_yticks(range(count), classes, fontsize=size)
        axes.set_xlabel("said")
        axes.set_ylabel("true")
        axes.set_xticks(np.arange(-0.5, count), minor=True)
        axes.set_yticks(np.arange(-0.5, count), minor=True)
        axes.grid(which="minor", linewidth=0.4)
        axes.tick_params(which="both", length=0)
        alt = (
            f"Heat map of {count} true classes by {count} said ones; the diagonal is right. The most "
            "frequent confusions are in the table below the figure."
        )
        return make_svg(figure, alt)


def draw_reliability(parts: Mapping[str, Calibration]) -> Picture:
    """Title → calibration, a panel each: share answered rightly over the probability named."""
    with drawing(WIDTH * len(parts) / 2, 3.6) as figure:
        panels = figure.subplots(1, len(parts), sharey=True, squeeze=False)
        for axes, (title, found) in zip(panels.flat, parts.items(), strict=True):
            filled = found.counts > 0
            middle = (np.arange(BINS) + 0.5) / BINS
            axes.bar(
                middle[filled], found.accuracy[filled], 0.9 / BINS, color=COLOURS[0], alpha=0.75
            )
            axes.plot([0, 1], [0, 1], color=INK, linewidth=1, linestyle="--")
            size = 8 + 120 * found.counts[filled] / found.counts.sum()
            axes.scatter(
                found.confidence[filled], found.accuracy[filled], s=size, color=COLOURS[1], zorder=3
            )
            axes.set_title(f"{title}: ECE {100 * found.error:.1f} %")
            axes.set_xlim(0, 1)
            axes.set_ylim(0, 1)
            axes.set_xlabel("probability of the class that was said")
            tidy(axes)
        panels.flat[0].set_ylabel("share answered rightly")
        told = "; ".join(f"{title}: ECE {100 * c.error:.1f} per cent" for title, c in parts.items())
        return make_svg(figure, f"Reliability diagram in {BINS} bins. {told}.")


def _style(number: int) -> dict[str, Any]:
    """A colour, and another dash when the colours have gone round."""
    dashes = ("-", "--", ":", "-.")
    return {
        "color": COLOURS[number % len(COLOURS)],
        "linestyle": dashes[number // len(COLOURS) % len(dashes)],
    }
