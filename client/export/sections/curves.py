"""Accuracy over what it took: paid queries (frontier.json) and labelled pictures (shots.json)."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.export.blocks import Block, Figure, Section, Table, Text
from client.export.diagrams import draw_points
from client.train.runs import read_json

FILES = {"frontier": "Accuracy for paid queries", "shots": "Accuracy for labelled pictures"}
"""Name of the JSON file → title."""

__all__ = ["describe_curves"]


def describe_curves(folders: Sequence[Path]) -> list[Section]:
    """A section for each file that lies in one of the folders."""
    found = []
    for folder in folders:
        for name, title in FILES.items():
            file = folder / f"{name}.json"
            if file.is_file():
                found.append(Section(title, _describe(read_json(file))))
    return found


def _describe(document: dict[str, Any]) -> list[Block]:
    x_name, points = str(document["x_name"]), list(document["points"])
    series: dict[str, list[dict[str, Any]]] = {}
    for point in sorted(points, key=lambda point: point["x"]):
        series.setdefault(_name_series(point), []).append(point)
    if not series:
        return [Text("There is no point yet.", soft=True)]
    cells = [
        [
            name,
            f"{point['x']:g}",
            f"{100 * point['mean']:.1f}"
            + ("" if point.get("error") is None else f" ± {100 * point['error']:.1f}"),
            str(point["seeds"]),
        ]
        for name, found in series.items()
        for point in found
    ]
    header = ["method", x_name, "OOD, %", "seeds"]
    return [
        Figure(
            draw_points(series, x_name),
            f"Mean per-class accuracy out of domain over {x_name}; lines are one standard error over "
            "seeds.",
            Table(f"Accuracy over {x_name}", header, cells),
        ),
        *(Text(str(claim["said"])) for claim in document.get("claims", []) if "said" in claim),
    ]


def _name_series(point: dict[str, Any]) -> str:
    """The curve a point belongs to: its method, with what else tells it apart."""
    parts = [str(point["method"])]
    if point.get("selection"):
        parts.append(str(point["selection"]))
    if point.get("views"):
        parts.append(f"{point['views']} views")
    if point.get("metered") is False:
        parts.append("fresh views, unmetered")
    return ", ".join(parts)
