"""`vl2v export`: take a finished student to where vl2v is not installed."""

from pathlib import Path
from typing import Annotated

import typer

from client.cli import options
from client.cli.screen import errors
from client.cli.training import open_store, require_torch

FORMATS = ("timm", "onnx")

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(export)


def export(
    run: Annotated[Path, typer.Argument(help="Run folder of `vl2v train`.")],
    *,
    to: Annotated[str, typer.Option(help=f"Format: {', '.join(FORMATS)}.")] = "timm",
    out: Annotated[
        Path | None,
        typer.Option(help="Folder to write, default RUN/export; with onnx also a FILE.onnx."),
    ] = None,
    threads: options.Threads = None,
    cache: options.Cache = None,
) -> None:
    """Take a finished student to timm, or to one ONNX file; checked against the student on load.

    Example: vl2v export runs/adip-sketch --to onnx --out model.onnx
    """
    require_torch(threads)
    from client.train.errors import check_name
    from client.train.runs import RunFolder

    check_name("format", to, FORMATS)
    folder = RunFolder(run)
    if to == "onnx":
        from client.export.onnx_file import FILE_NAME, export_onnx

        with errors().status("exporting"):
            made = export_onnx(folder, out or run / FILE_NAME)
        said = f"run it with onnxruntime.InferenceSession({str(made)!r})"
    else:
        from client.export.timm_folder import export_timm

        with open_store(cache) as store, errors().status("exporting"):
            made = export_timm(folder, out or run / "export", memo=store.digests)
        said = f'load it with timm.create_model("local-dir:{made}", pretrained=True)'
    typer.echo(str(made))
    errors().print(said, markup=False)
