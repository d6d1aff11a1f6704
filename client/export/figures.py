"""The report's figures as self-contained SVG images with a text for those who cannot see them."""

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib.figure import Figure
from PIL import Image

COLOURS = ("#1b4f9c", "#d1741f", "#2f8f5b", "#8a4fa3", "#6b7280", "#b3323c")
"""Told apart in grey too; a method keeps its colour in every figure."""

__all__ = ["Picture", "draw_accuracy", "draw_curves", "draw_thumbnail"]


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for an `<img>`: a data URI and its alternative text."""

    uri: str
    alt: str


def draw_accuracy(results: Sequence[dict[str, Any]], domains: Sequence[str]) -> Picture:
    """Bars: mean per-class accuracy per domain and method, the target's being its whole."""
    figure = Figure(figsize=(8, 3.4), layout="constrained")
    axes = figure.add_subplot()
    width = 0.8 / max(1, len(results))
    told = []
    for number, result in enumerate(results):
        values = [_reading(result, index, domain) for index, domain in enumerate(domains)]
        places = [index - 0.4 + width * (number + 0.5) for index in range(len(domains))]
        label = str(result["method"])
        axes.bar(places, values, width * 0.92, label=label, color=_colour(number))
        shown = ", ".join(f"{d} {v:.0f}" for d, v in zip(domains, values, strict=True))
        told.append(f"{label}: {shown}")
    targets = set(results[0]["targets"]) if results else set()
    axes.set_xticks(
        range(len(domains)), [f"{d}\n(never seen)" if d in targets else d for d in domains]
    )
    axes.set_ylabel("mean per-class accuracy, %")
    axes.set_ylim(0, 100)
    _finish(figure, axes)
    return _as_svg(figure, "Mean per-class accuracy in per cent. " + "; ".join(told))


def draw_curves(curves: Sequence[tuple[str, Sequence[dict[str, Any]]]]) -> Picture:
    """Two panels over steps: source validation, and each method's own loss."""
    figure = Figure(figsize=(8, 3.0), layout="constrained")
    left, right = figure.subplots(1, 2)
    told = []
    for number, (label, rows) in enumerate(curves):
        seen = [(row["step"], 100 * row["validation"]) for row in rows if "validation" in row]
        lost = [(row["step"], row["loss"]) for row in rows if "loss" in row]
        if seen:
            left.plot(*zip(*seen, strict=True), marker="o", label=label, color=_colour(number))
            told.append(f"{label} ends at {seen[-1][1]:.0f}")
        if lost:
            right.plot(*zip(*lost, strict=True), label=label, color=_colour(number))
    left.set_ylabel("source validation, %")
    right.set_ylabel("training loss (each method's own)")
    for axes in (left, right):
        axes.set_xlabel("step")
    _finish(figure, left)
    _finish(figure, right, legend=False)
    text = "Source validation accuracy and training loss over the steps. " + "; ".join(told)
    return _as_svg(figure, text)


def draw_thumbnail(file: Path, alt: str, side: int = 72) -> Picture:
    """A small PNG of an image file. Raises OSError when it cannot be read."""
    with Image.open(file) as image:
        small = image.convert("RGB")
    small.thumbnail((side, side))
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return Picture(_uri("image/png", out.getvalue()), alt)


def _reading(result: dict[str, Any], index: int, domain: str) -> float:
    key = f"env{index}_class_acc" if domain in result["targets"] else f"env{index}_out_class_acc"
    return 100 * float(result.get(key, 0.0))


def _finish(figure: Any, axes: Any, *, legend: bool = True) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#e5e7eb", linewidth=0.8)
    axes.set_axisbelow(True)
    if legend and axes.get_legend_handles_labels()[1]:
        figure.legend(loc="outside upper center", ncols=6, frameon=False)


def _as_svg(figure: Any, alt: str) -> Picture:
    out = io.BytesIO()
    # Without a date, the same results give the same file.
    figure.savefig(out, format="svg", metadata={"Date": None})
    return Picture(_uri("image/svg+xml", out.getvalue()), alt)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"


def _colour(number: int) -> str:
    return COLOURS[number % len(COLOURS)]
