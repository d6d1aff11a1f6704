"""`vl2v evaluate`: how right a finished student is, on its own data folder or another one."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli import options
from client.cli.screen import errors, print_table
from client.cli.training import open_store, require_torch

if TYPE_CHECKING:
    from client.train.finished import PartAccuracy

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(evaluate)


def evaluate(
    run: Annotated[Path, typer.Argument(help="Run folder of `vl2v train`.")],
    data: Annotated[
        Path | None, typer.Argument(help="Another DATA/<domain>/<class>/<image> folder.")
    ] = None,
    *,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Accuracy and calibration error per domain: training part, validation part, all. Costs nothing.

    Example: vl2v evaluate runs/adip-sketch
    """
    require_torch(threads)
    rows = [asdict(row) for row in _measure(run, data, cache)]
    if as_json:
        for row in rows:
            typer.echo(json.dumps(row))
        return
    columns = ("domain", "role", "part", "pictures", "accuracy", "mean per class", "ECE")
    cells = [
        (
            *(row[name] for name in columns[:4]),
            *(f"{row[name]:.1%}" for name in ("accuracy", "class_accuracy", "ece")),
        )
        for row in rows
    ]
    print_table(columns, cells)


def _measure(run: Path, data: Path | None, cache: str | None) -> "list[PartAccuracy]":
    from client.train.experiment import open_experiment
    from client.train.finished import evaluate_student, load_finished
    from client.train.runs import RunFolder

    folder = RunFolder(run)
    student = load_finished(folder)
    root = data or Path(folder.read_config()["data"])
    with open_store(cache) as store, errors().status("evaluating"):
        return evaluate_student(student, open_experiment(root, student.config, store))
