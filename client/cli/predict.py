"""`vl2v predict`: what a finished student sees in image files."""

import json
from pathlib import Path
from typing import Annotated

import typer

from client.cli import options
from client.cli.training import require_torch

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(
    run: Annotated[Path, typer.Argument(help="Run folder of `vl2v train`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    *,
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each image.")] = 5,
    threads: options.Threads = None,
    as_json: options.Json = False,
) -> None:
    """Name the likeliest classes of each image, with probabilities. Costs nothing.

    Example: vl2v predict runs/adip-sketch photo.jpg
    """
    require_torch(threads)
    from client.train.finished import load_finished
    from client.train.runs import RunFolder

    found = load_finished(RunFolder(run)).predict(images, top)
    for image, classes in zip(images, found, strict=True):
        if as_json:
            rows = [{"class": name, "probability": value} for name, value in classes]
            typer.echo(json.dumps({"image": str(image), "classes": rows}))
        else:
            named = ", ".join(f"{name} {value:.1%}" for name, value in classes)
            typer.echo(f"{image}: {named}")
