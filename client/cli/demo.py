"""`vl2v demo-data`: open pictures to try everything on."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import Progress

from client.errors import UsageError

if TYPE_CHECKING:
    from shared.icons import Plan

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
    styles: Annotated[
        str, typer.Option(help="Styles to render, with commas; default the four domains.")
    ] = "",
    final: Annotated[
        bool, typer.Option("--final", help="Only the styles kept for one last test: pixel.")
    ] = False,
    sheets: Annotated[
        Path | None, typer.Option(help="Also draw one contact sheet a class into this folder.")
    ] = None,
) -> None:
    """Forty things in four drawing styles, rendered from open icon sets.

    `--final` writes a fifth style, pixel, into a folder of its own: no run trains on it and no choice
    looks at it. The demo's teacher did see those two sets, drawings of the classes included
    (shared/icons/plan.json), so its own accuracy there is no unseen one; a student's is.

    Example: vl2v demo-data icons --out DATA
    """
    from client.demo import write_contact_sheets, write_dataset
    from shared.icons import NpmMissing, install_packages, load_plan

    plan = load_plan()
    chosen = _choose_styles(plan, styles, final=final)
    wanted = frozenset(name for style in chosen for name in plan.styles[style])
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
                styles=chosen,
                classes=classes,
                per_class=per_class,
                progress=lambda done, total: bar.update(task, completed=done, total=total),
            )
        if sheets is not None:
            write_contact_sheets(plan, modules, sheets, chosen)
    except (NpmMissing, ImportError, RuntimeError) as error:
        screen.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    counts = ", ".join(f"{style} {count}" for style, count in data.pictures.items())
    typer.echo(f"{sum(data.pictures.values())} pictures of {data.classes} classes: {counts}")


def _choose_styles(plan: "Plan", text: str, *, final: bool) -> tuple[str, ...]:
    """The styles asked for. Raises UsageError for unknown ones, and for domains beside a final one."""
    if final and text:
        raise UsageError("--final names its styles itself: leave --styles out")
    named = [name.strip() for name in text.split(",") if name.strip()]
    chosen = tuple(plan.final_sets) if final else tuple(dict.fromkeys(named)) or plan.domains
    for name in chosen:
        if name not in plan.styles:
            raise UsageError(f"unknown style {name!r}: choose of {', '.join(plan.styles)}")
    kept = [name for name in chosen if name in plan.final_sets]
    if kept and len(kept) < len(chosen):
        raise UsageError(
            f"{', '.join(kept)} is kept for one last test and needs a folder of its own: "
            "run the command once for it and once for the others"
        )
    return chosen
