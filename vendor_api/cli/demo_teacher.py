"""`vl2v-vendor demo-teacher`: make, measure and remake the CLIP model that the demo sells."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

demo_teacher = typer.Typer(help="Make and measure the demo's teacher.", no_args_is_help=True)
progress = Console(stderr=True)


def register(app: typer.Typer) -> None:
    """Add the command group."""
    app.add_typer(demo_teacher, name="demo-teacher")


@demo_teacher.command()
def corpus(
    out: Annotated[Path, typer.Argument(help="Folder to write images and pairs.jsonl to.")],
    packages: Annotated[
        Path | None, typer.Option(help="Where npm packages are kept; default OUT/npm.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Seed of captions and of the held-out pairs.")] = 0,
) -> None:
    """Render the captioned icons the teacher learns from: no client drawing, no twin of one.

    Example: vl2v-vendor demo-teacher corpus teacher-data
    """
    from shared.icons import NpmMissing, install_packages, load_plan
    from vendor_api.demo.corpus import write_corpus

    plan = load_plan()
    keywords = plan.document["emoji_keywords"]
    versions = {**plan.versions(), keywords["package"]: keywords["version"]}
    try:
        modules = install_packages(versions, packages or out / "npm")
    except NpmMissing as error:
        progress.print(f"[red]{error}[/]")
        raise typer.Exit(1) from error
    with progress.status("rendering; about four minutes on two cores"):
        counts = write_corpus(plan, modules, out, seed=seed)
    typer.echo(json.dumps(counts))


@demo_teacher.command()
def train(
    data: Annotated[Path, typer.Argument(help="Folder with pairs.jsonl and its images.")],
    out: Annotated[Path, typer.Option(help="Folder for the run and the model.")] = Path("teacher"),
    steps: Annotated[int | None, typer.Option(help="Optimiser steps.")] = None,
    batch: Annotated[int | None, typer.Option(help="Pairs a step.")] = None,
    seed: Annotated[int, typer.Option(help="Seed of weights, batches and augmentation.")] = 0,
) -> None:
    """Train a small CLIP on any folder of captioned pictures; run it again to go on where it stopped.

    Example: vl2v-vendor demo-teacher train teacher-data --out teacher
    """
    from vendor_api.demo.training import TeacherConfig, train_teacher

    given = {"steps": steps, "batch": batch, "seed": seed}
    config = TeacherConfig(**{name: value for name, value in given.items() if value is not None})
    if not (data / "pairs.jsonl").is_file():
        progress.print(
            f"[red]{data / 'pairs.jsonl'} is missing: make it with "
            f"`vl2v-vendor demo-teacher corpus {data}`[/]"
        )
        raise typer.Exit(2)

    def report(row: dict[str, float]) -> None:
        left = row["seconds"] / max(1.0, row["done"]) * (config.steps - 1 - row["step"])
        progress.print(
            f"step {row['step']:.0f}/{config.steps}  loss {row['loss']:.3f}  "
            f"scale {row['scale']:.1f}  about {left / 60:.0f} min left"
        )

    typer.echo(str(train_teacher(data, out, config, report=report)))


@demo_teacher.command()
def evaluate(
    model: Annotated[str, typer.Argument(help="Model, as in `serve`: local-dir:PATH.")],
    data: Annotated[
        Path, typer.Option(help="A corpus (its validation concepts) or a style/class/picture tree.")
    ],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Zero-shot accuracy per style for every prompt set.

    Example: vl2v-vendor demo-teacher evaluate local-dir:teacher/open_clip --data teacher-data
    """
    from shared.icons import load_plan
    from shared.openclip import load_openclip
    from vendor_api.demo import evaluation

    plan = load_plan()
    is_corpus = (data / "pairs.jsonl").is_file()
    pictures = (evaluation.read_validation if is_corpus else evaluation.read_folders)(data)
    known = plan.other_classes if is_corpus else plan.classes
    present = {picture.label for picture in pictures}
    words = {name: names for name, names in known.items() if name in present}
    results = evaluation.compare_prompts(load_openclip(model), pictures, words)
    if as_json:
        typer.echo(json.dumps({k: {**v.by_style, "mean": v.mean} for k, v in results.items()}))
        return
    styles = sorted({picture.style for picture in pictures})
    table = Table(
        "prompts", *styles, "mean", title=f"{len(pictures)} pictures, {len(words)} classes"
    )
    for name, accuracy in results.items():
        cells = [f"{accuracy.by_style[style]:.3f}" for style in styles]
        table.add_row(name, *cells, f"{accuracy.mean:.3f}")
    Console().print(table)
