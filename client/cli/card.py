"""`vl2v card`: a finished student's model card."""

from pathlib import Path
from typing import Annotated

import typer

from client.cli import options
from client.cli.screen import errors
from client.cli.training import open_store, require_torch

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(card)


def card(
    run: Annotated[Path, typer.Argument(help="Run folder, or the folder of one method's seeds.")],
    *,
    out: Annotated[Path | None, typer.Option(help="File to write; default stdout.")] = None,
    cache: options.Cache = None,
) -> None:
    """Write a model card: data, cost, seeds, settings, accuracy and calibration per domain, licences.

    Example: vl2v card bench/solid/adip --out MODEL_CARD.md
    """
    require_torch(None)
    from client.export.card import describe_card, read_card_runs

    runs = read_card_runs(run)
    with open_store(cache) as store, errors().status("reading the data folder"):
        text = describe_card(runs, memo=store.digests)
    if out is None:
        typer.echo(text, nl=False)
        return
    out.parent.mkdir(parents=True, exist_ok=True)
    partial = out.with_name(out.name + ".partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(out)
    typer.echo(str(out))
