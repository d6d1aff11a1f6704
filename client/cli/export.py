"""`vl2v export`: take a finished student to where vl2v is not installed."""

from pathlib import Path
from typing import Annotated

import typer

from client.cli import options
from client.cli.screen import errors
from client.cli.training import require_torch

FORMATS = ("timm",)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of `vl2v train`.")],
    *,
    to: Annotated[str, typer.Option(help=f"Format: {', '.join(FORMATS)}.")] = "timm",
    out: Annotated[Path | None, typer.Option(help="Folder to write; default RUN/export.")] = None,
    threads: options.Threads = None,
) -> None:
    """Write a folder for timm.create_model("local-dir:PATH", pretrained=True), checked on load.

    Example: vl2v export runs/adip-sketch --to timm --out model
    """
    require_torch(threads)
    from client.export.timm_folder import export_timm
    from client.train.errors import check_name
    from client.train.runs import RunFolder

    check_name("format", to, FORMATS)
    folder = export_timm(RunFolder(run), out or run / "export")
    typer.echo(str(folder))
    errors().print(
        f'load it with timm.create_model("local-dir:{folder}", pretrained=True)', markup=False
    )
