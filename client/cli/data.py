"""`vl2v data`: what a data folder is, before anything is paid or trained."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from client.cli import options
from client.cli.screen import JsonFlag, errors, print_json, print_table

if TYPE_CHECKING:
    from client.data.domainbed import Layout

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(data)


def data(
    folder: options.Data,
    *,
    check: Annotated[
        bool, typer.Option("--check", help="Also open every image and list the unreadable ones.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Name the data set, count its domains and classes, and warn of known pitfalls.

    The index is DomainBed's: what --test-envs takes. Counts are by file names; --check opens the files.

    Example: vl2v data DATA
    """
    from client.data.counting import count_pictures

    layout = count_pictures(folder)
    unreadable = _open_all(layout.root) if check else None
    if as_json:
        print_json(_describe(layout, unreadable))
        return
    _print(layout, unreadable)


def _open_all(root: Path) -> list[tuple[str, str]]:
    from client.data.folders import scan_folders

    with errors().status("opening every image"):
        return list(scan_folders(root).unreadable)


def _describe(layout: "Layout", unreadable: list[tuple[str, str]] | None) -> dict[str, Any]:
    known = layout.dataset
    return {
        "root": str(layout.root),
        "dataset": known.name if known else None,
        "domains": [asdict(domain) for domain in layout.domains],
        "classes": len(layout.classes),
        "images": layout.images,
        "expected_classes": known.classes if known else None,
        "expected_images": known.images if known else None,
        "warnings": list(layout.warnings),
        "unreadable": unreadable,
    }


def _print(layout: "Layout", unreadable: list[tuple[str, str]] | None) -> None:
    known = layout.dataset
    what = known.name if known else "no data set that DomainBed knows"
    typer.echo(f"{layout.root}: {what}, {layout.images:,} images of {len(layout.classes)} classes")
    if known:
        typer.echo(f"published: {known.images:,} images of {known.classes} classes")
    print_table(
        ("index", "domain", "classes", "images", "published"),
        [
            (d.index, d.name, d.classes, d.images, "" if d.expected is None else d.expected)
            for d in layout.domains
        ],
    )
    for path, problem in unreadable or []:
        typer.echo(f"unreadable: {path}: {problem}")
    for warning in layout.warnings:
        errors().print(f"warning: {warning}", style="yellow", markup=False)
