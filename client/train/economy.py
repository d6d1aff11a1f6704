"""Accuracy against what it took: the frontier over paid queries, and the curve over labelled pictures."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from client.data.choosing import Selection
from client.train.config import TrainConfig
from client.train.errors import TrainingError
from client.train.experiment import Experiment
from client.train.grid import Cell, Grid, Line, Progress, Row, compare_rows, run_grid
from client.train.methods import find_method
from client.train.points import Point, Study

FREE = "text-only"
"""What no image query at all comes to, and the student that scores for uncertainty."""
FRESH_LIMIT = 0.8
"""Two-sided level whose upper end is the one-sided 90 % limit."""
LEVEL = 0.95

__all__ = ["FrontierPlan", "ShotsPlan", "run_frontier", "run_shots"]


@dataclass(frozen=True)
class FrontierPlan:
    """Which ways of spending queries are compared."""

    config: TrainConfig
    method: str
    shares: tuple[float, ...]
    selections: tuple[Selection, ...]
    views: tuple[int, ...]
    targets: tuple[str, ...]
    seeds: int
    fresh_views: str = ""


@dataclass(frozen=True)
class ShotsPlan:
    """Which methods are compared at which numbers of labelled pictures."""

    config: TrainConfig
    methods: tuple[str, ...]
    shots: tuple[int | None, ...]
    """None is all there are."""
    targets: tuple[str, ...]
    seeds: int


def run_frontier(
    experiment: Experiment,
    plan: FrontierPlan,
    out: Path,
    *,
    report: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Study:
    """Run the grid, or go on with it, and say what each way of spending queries comes to.

    Raises MissingVectors, TrainingError, Interrupted.
    """
    method = find_method(plan.method)
    if not (method.reads_images and method.trains):
        raise TrainingError(f"--method {method.name} asks no image query: take adip or kd")
    grid = Grid(tuple(_frontier_cells(plan)), plan.targets, plan.seeds)
    rows = run_grid(experiment, grid, out, report=report, stop=stop)
    points = tuple(_spend_point(row) for row in rows.values())
    said = tuple(_compare_frontier(experiment, plan, rows))
    return Study("paid image queries", points, said)


def run_shots(
    experiment: Experiment,
    plan: ShotsPlan,
    out: Path,
    *,
    report: Progress = lambda stage, done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Study:
    """Run every method at every number of shots, or go on, and say where ERM passes ADiP.

    Raises MissingVectors, Interrupted.
    """
    cells = [
        Cell(f"{name}-{_name_shots(shots)}", replace(plan.config, method=name, shots=shots))
        for shots in plan.shots
        for name in plan.methods
    ]
    grid = Grid(tuple(cells), plan.targets, plan.seeds)
    rows = run_grid(experiment, grid, out, report=report, stop=stop)
    points = tuple(_shot_point(experiment, row) for row in rows.values())
    said = tuple(_tell_crossing(points, plan))
    return Study("labelled pictures per class and domain", points, said)


def _frontier_cells(plan: FrontierPlan) -> list[Cell]:
    """The free point first: it scores for uncertainty."""
    cells = []
    scored = "uncertainty" in plan.selections and any(0 < s < 1 for s in plan.shares)
    if 0 in plan.shares or scored:
        cells.append(Cell(FREE, replace(plan.config, method=FREE)))
    base = replace(plan.config, method=plan.method)
    for views in plan.views:
        shown = replace(base, bought_views=views)
        mark = f"-v{views}" if views else ""
        for share in sorted(share for share in plan.shares if 0 < share < 1):
            for rule in plan.selections:
                name = f"{plan.method}{mark}-q{100 * share:g}-{rule}"
                cells.append(_share_cell(name, shown, share, rule))
        if 1 in plan.shares:
            cells.append(Cell(f"{plan.method}{mark}-q100", shown))
    if plan.fresh_views:
        cells.append(Cell(f"{plan.method}-fresh", replace(base, fresh_views=plan.fresh_views)))
    return cells


def _share_cell(name: str, config: TrainConfig, share: float, rule: Selection) -> Cell:
    if rule == "uncertainty":
        # Its rule is set with its scorer, run by run.
        return Cell(name, replace(config, queries=share), scorer=FREE)
    return Cell(name, replace(config, queries=share, selection=rule))


def _spend_point(row: Row) -> Point:
    """x is what the journal says was paid for what the runs read, the mean over targets and seeds."""
    config = row.cell.config
    fresh = bool(config.fresh_views)
    share = 0.0 if not find_method(config.method).reads_images else config.queries
    rule = "uncertainty" if row.cell.scorer else config.selection
    return _point(
        row,
        x=row.average(_unmetered if fresh else _paid),
        facts={
            "share": share,
            "selection": rule if 0 < share < 1 else None,
            "views": config.bought_views,
            "metered": not fresh,
        },
    )


def _shot_point(experiment: Experiment, row: Row) -> Point:
    """x is how many pictures there really were, the mean over classes, domains, targets and seeds."""
    classes = len(experiment.manifest.classes)

    def labelled(line: Line) -> float:
        return float(line["training_pictures"]) / (classes * len(line["sources"]))

    facts = {"shots": row.cell.config.shots, "paid_image_queries": row.average(_paid)}
    return _point(row, x=row.average(labelled), facts=facts)


def _point(row: Row, *, x: float, facts: dict[str, Any]) -> Point:
    return Point(
        name=row.cell.name,
        method=row.cell.config.method,
        x=x,
        mean=row.accuracy,
        error=row.error,
        seeds=len({line["trial_seed"] for line in row.lines}),
        targets=tuple(dict.fromkeys(line["targets"][0] for line in row.lines)),
        facts=facts,
    )


def _paid(line: Line) -> float:
    return float(line["spending"]["training"]["images"])


def _unmetered(line: Line) -> float:
    return float(line["unmetered_queries"])


def _compare_frontier(
    experiment: Experiment, plan: FrontierPlan, rows: dict[str, Row]
) -> list[dict[str, Any]]:
    """The two claims that a budget rests on, where the grid holds their runs."""
    found = []
    whole, fresh = rows.get(f"{plan.method}-q100"), rows.get(f"{plan.method}-fresh")
    if whole and fresh:
        interval = compare_rows(experiment, fresh, whole, level=FRESH_LIMIT)
        found.append(
            {
                "claim": "fresh views − one query per picture",
                **interval.document(),
                "said": f"fresh views − one query per picture: {_show(interval.mean)} points, "
                f"upper 90 % limit {_show(interval.high)}",
            }
        )
    for rule in plan.selections:
        quarter = rows.get(f"{plan.method}-q25-{rule}")
        if whole and quarter:
            interval = compare_rows(experiment, quarter, whole, level=LEVEL)
            limits = f"{_show(interval.low)} to {_show(interval.high)}"
            found.append(
                {
                    "claim": f"25 % {rule} − 100 %",
                    **interval.document(),
                    "said": f"25 % of the pictures ({rule}) − 100 %: {_show(interval.mean)} points, "
                    f"95 % interval {limits}",
                }
            )
    return found


def _tell_crossing(points: Sequence[Point], plan: ShotsPlan) -> list[dict[str, Any]]:
    """From which k on ERM is ahead of ADiP, in one sentence."""
    if not {"erm", "adip"} <= set(plan.methods):
        return []
    order = sorted(plan.shots, key=lambda shots: np.inf if shots is None else shots)
    mean = {(point.method, point.facts["shots"]): point.mean for point in points}
    ahead = [mean["erm", shots] > mean["adip", shots] for shots in order]
    behind = [place for place, wins in enumerate(ahead) if not wins]
    first = behind[-1] + 1 if behind else 0
    if first == len(order):
        said = f"ERM does not pass ADiP up to k = {_name_shots(order[-1])}."
        return [{"claim": "ERM passes ADiP", "shots": None, "passes": False, "said": said}]
    place = _name_shots(order[first])
    said = f"ERM passes ADiP at k = {place}."
    if not behind:
        said = f"ERM is ahead of ADiP at every k from {place} on."
    return [{"claim": "ERM passes ADiP", "shots": order[first], "passes": True, "said": said}]


def _name_shots(shots: int | None) -> str:
    return "all" if shots is None else f"{shots}"


def _show(share: float) -> str:
    return f"{100 * share:+.1f}"
