"""`vl2v predict`: what a finished student sees in image files, in its own classes or in new ones."""

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from client.cli import options
from client.cli.training import open_store, require_torch
from client.errors import UsageError

if TYPE_CHECKING:
    from client.cache import EmbeddingStore
    from client.train.finished import FinishedStudent
    from client.train.runs import RunFolder
    from client.train.vocabulary import Vocabulary

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(predict)


def predict(  # noqa: PLR0913  (one parameter an option)
    run: Annotated[Path, typer.Argument(help="Run folder of `vl2v train`.")],
    images: Annotated[list[Path], typer.Argument(help="Image files.")],
    *,
    top: Annotated[int, typer.Option(min=1, help="Classes to name for each image.")] = 5,
    classes: Annotated[
        str | None, typer.Option(help="Choose among these names instead, with commas.")
    ] = None,
    add_classes: Annotated[
        str | None, typer.Option(help="Names to choose from beside the run's own, with commas.")
    ] = None,
    buy: Annotated[
        bool, typer.Option("--buy", help="Buy the texts of new names that the cache lacks.")
    ] = False,
    budget: Annotated[
        str | None, typer.Option(help="With --buy: dollars that new names of this run may cost.")
    ] = None,
    threads: options.Threads = None,
    cache: options.Cache = None,
    as_json: options.Json = False,
) -> None:
    """Name the likeliest classes of each image, with probabilities. Costs nothing without --buy.

    A student of adip and its like also chooses among names that it was never trained on: each
    costs its prompts' text queries, once.

    Example: vl2v predict runs/adip-sketch photo.jpg --add-classes "unicorn,otter"
    """
    require_torch(threads)
    from client.train.finished import load_finished
    from client.train.runs import RunFolder

    folder = RunFolder(run)
    student = load_finished(folder)
    names = _read_names(classes, add_classes, student.classes)
    if names is not None:
        with open_store(cache) as store:
            command = ["vl2v", "predict", str(run), *map(str, images)]
            command += ["--classes", classes] if classes else ["--add-classes", add_classes or ""]
            student = _extend(
                folder, student, names, store, command if not buy else None, budget=budget
            )
    found = student.predict(images, top)
    for image, row in zip(images, found, strict=True):
        if as_json:
            rows = [{"class": name, "probability": value} for name, value in row]
            typer.echo(json.dumps({"image": str(image), "classes": rows}))
        else:
            named = ", ".join(f"{name} {value:.1%}" for name, value in row)
            typer.echo(f"{image}: {named}")


def _read_names(
    classes: str | None, add_classes: str | None, known: tuple[str, ...]
) -> tuple[str, ...] | None:
    """The names to choose from; None for the run's own."""
    if classes is not None and add_classes is not None:
        raise UsageError("give either --classes, the whole list, or --add-classes, what joins it")
    given = classes if classes is not None else add_classes
    if given is None:
        return None
    named = tuple(filter(None, map(str.strip, given.split(","))))
    if not named:
        raise UsageError("there is no class name: write them like --classes 'unicorn,otter'")
    return tuple(dict.fromkeys(named if classes is not None else (*known, *named)))


def _extend(
    folder: "RunFolder",
    student: "FinishedStudent",
    names: tuple[str, ...],
    store: "EmbeddingStore",
    command: list[str] | None,
    *,
    budget: str | None,
) -> "FinishedStudent":
    """The student in the new classes; `command` is what to type to buy what is missing, None buys."""
    from client.acquire import name_run
    from client.cli.fetch import read_budget
    from client.cli.text_buying import buy_texts
    from client.train.vocabulary import open_vocabulary

    vocabulary = open_vocabulary(student, folder.read_config(), names, store)
    missing = vocabulary.missing(store)
    if missing and command is not None:
        raise _explain_missing(vocabulary, store, command)
    if missing:
        document = vocabulary.document
        model = f"{document.id}@{document.revision}"
        run = name_run(folder.path, document.id)
        buy_texts(missing, model, run, read_budget(budget), store)
    return vocabulary.teach(student, store)


def _explain_missing(
    vocabulary: "Vocabulary", store: "EmbeddingStore", command: list[str]
) -> Exception:
    from client.train.errors import MissingVectors
    from shared.money import show_usd

    cost = show_usd(vocabulary.cost_nanousd(store))
    count = len(vocabulary.missing(store))
    wanted = shlex.join([*command, "--buy", "--budget", cost.lstrip("$")])
    return MissingVectors(
        f"{count} text{'' if count == 1 else 's'} of the new classes are not in the cache; at the "
        f"last price they cost {cost}. Buy them with: {wanted}"
    )
