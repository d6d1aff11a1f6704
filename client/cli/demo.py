"""`vl2v demo-data`: open pictures to try everything on."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.progress import Progress

demo_data = typer.Typer(help="Write open picture sets to try everything on.", no_args_is_help=True)
screen = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(demo_data, name="demo-data")


@demo_data.command()
def icons(
    out: Annotated[Path, typer.Option(help="Folder to write <style>/<class>/<picture>.png to.")],
    packages: Annotated[
        Path | None, typer.Option(help="Where npm packages are kept; default beside OUT.")
    ] = None,
    classes: Annotated[
        int | None, typer.Option(min=2, help="Only the first so many classes.")
    ] = None,
    per_class: Annotated[
        int | None, typer.Option(min=1, help="Only so many pictures a class and style.")
    ] = None,
    sheets: Annotated[
        Path | None, typer.Option(help="Also draw one contact sheet a class into this folder.")
    ] = None,
) -> None:
    """Forty things in four drawing styles, rendered from open icon sets.

    Example: vl2v demo-data icons --out DATA
    """
    from client.demo import write_contact_sheets, write_dataset
    from shared.icons import NpmMissing, install_packages, load_plan

    plan = load_plan()
    wanted = frozenset(name for sets in plan.client_sets.values() for name in sets)
    store = packages or out.parent / "npm"
    try:
        with screen.status("fetching the icon sets"):
            modules = install_packages(plan.versions(wanted), store)
        with Progress(console=screen) as bar:
            task = bar.add_task("rendering", total=None)
            data = write_dataset(
                plan,
                modules,
                out,
                classes=classes,
                per_class=per_class,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if sheets is not None:
            write_contact_sheets(plan, modules, sheets)
    except (NpmMissing, ImportError, RuntimeError) as error:
        screen.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    counts = ", ".join(f"{style} {count}" for style, count in data.pictures.items())
    typer.echo(f"{sum(data.pictures.values())} pictures of {data.classes} classes: {counts}")
