"""The `vl2v` command. Its commands load what they need when they are run: torch is never needed to start."""

import importlib
import importlib.util
from importlib.metadata import PackageNotFoundError, version
from typing import Annotated

import typer

from client.cli.screen import ReportingGroup

COMMANDS = (
    "login",
    "config",
    "account",
    "account_data",
    "budget",
    "cache",
    "reconcile",
    "fetch",
    "train",
    "evaluate",
    "predict",
    "export",
    "report",
    "card",
    "bench",
    "frontier",
    "tune",
    "diagnose",
    "data",
    "unseen",
    "demo",
    "doctor",
)
"""Modules beside this one, in the order of `--help`; each has `register(app)`."""

app = typer.Typer(
    name="vl2v",
    help="Buy a vision-language teacher's embeddings once and distil them into a small model.",
    cls=ReportingGroup,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)

__all__ = ["app"]


def _show_version(wanted: bool) -> None:
    if wanted:
        try:
            typer.echo(f"vl2v {version('vl2v')}")
        except PackageNotFoundError:
            typer.echo("vl2v (not installed)")
        raise typer.Exit


@app.callback()
def _main(
    _version: Annotated[
        bool,
        typer.Option("--version", help="Print the version.", is_eager=True, callback=_show_version),
    ] = False,
) -> None:
    """Buy a vision-language teacher's embeddings once and distil them into a small model."""


for _name in COMMANDS:
    if importlib.util.find_spec(f"client.cli.{_name}") is not None:
        importlib.import_module(f"client.cli.{_name}").register(app)
