"""`vl2v report`: one page about finished runs."""

from pathlib import Path
from typing import Annotated

import typer

from client.cli import options
from client.cli.screen import errors
from client.cli.training import open_store, require_torch

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(report)


def report(
    runs: Annotated[list[Path], typer.Argument(help="Run folders, or folders that hold some.")],
    *,
    out: Annotated[Path, typer.Option(help="HTML file to write.")] = Path("report.html"),
    teacher: Annotated[
        str | None,
        typer.Option(help="open_clip spec to measure beside the student, if you have the weights."),
    ] = None,
    threads: options.Threads = None,
    cache: options.Cache = None,
) -> None:
    """Write one self-contained HTML page: accuracy with errors, confusions, calibration, agreement
    with the teacher, mistakes, curves and cost.

    Example: vl2v report runs --out report.html
    """
    require_torch(threads)
    from client.export.report import write_report

    price = _find_price(runs, cache)
    with open_store(cache) as store, errors().status("writing the report"):
        count = write_report(runs, out, image_price=price, teacher=teacher, memo=store.digests)
    typer.echo(str(out))
    errors().print(f"{count} runs; open it in a browser")


def _find_price(runs: list[Path], cache: str | None) -> str | None:
    """What the vendor asked for one image when these runs' vectors were bought."""
    from client.cache.store import ModelNotCached
    from client.train.runs import find_runs

    with open_store(cache) as store:
        for place in runs:
            for run in find_runs(place):
                config = run.read_config()
                if config["revision"]:
                    try:
                        document = store.model(f"{config['model']}@{config['revision']}")
                    except ModelNotCached:
                        continue
                    return document.price_per_image_usd
    return None
