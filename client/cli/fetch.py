"""`vl2v fetch`: quote, then buy the embeddings that are missing."""

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from client.cli.screen import INTERRUPTED, JsonFlag, errors
from client.data.choosing import Selection
from client.errors import UsageError

__all__ = ["fetch", "read_budget", "register"]


def register(app: typer.Typer) -> None:
    """Add the command."""
    app.command()(fetch)


def fetch(  # noqa: PLR0913, PLR0917  (one parameter an option)
    data: Annotated[
        Path,
        typer.Argument(
            help="Folder DATA/domain/class/image or DATA/class/image, or a CSV of paths."
        ),
    ],
    model: Annotated[
        str,
        typer.Option(help="The teacher's model: an id of `vl2v models`; needed if it has several."),
    ] = "",
    teacher: Annotated[
        str | None,
        typer.Option(
            help="vendor, openai:URL (infinity and its like), or local:WEIGHTS; default of `vl2v config`."
        ),
    ] = None,
    item_price: Annotated[
        str | None,
        typer.Option(help="Dollars to count per item of a teacher that sends no bill; default 0."),
    ] = None,
    logit_scale: Annotated[
        float | None,
        typer.Option(
            min=0.01, help="Of an openai:URL, which publishes none; default: fitted on the sources."
        ),
    ] = None,
    budget: Annotated[
        str | None, typer.Option(help="Dollars this run may spend in all, like 2.50.")
    ] = None,
    target: Annotated[
        list[str] | None, typer.Option(help="A domain kept for testing; may be given again.")
    ] = None,
    purpose: Annotated[
        Literal["training", "evaluation"],
        typer.Option(help="evaluation: what judging the teacher itself needs; never trained on."),
    ] = "training",
    templates: Annotated[
        list[str] | None,
        typer.Option(help="A prompt with {} for the class; default: what the vendor recommends."),
    ] = None,
    prompts: Annotated[
        Literal["vendor", "plain", "domain"],
        typer.Option(
            help="vendor: synonyms × templates; plain: 'a photo of a {}'; domain: 'a {domain} of a {}' "
            "for each domain but the targets."
        ),
    ] = "vendor",
    descriptions: Annotated[
        Path | None,
        typer.Option(
            help="JSON of class → sentence, its texts too; default DATA/descriptions.json."
        ),
    ] = None,
    captions: Annotated[
        Path | None, typer.Option(help="JSON lines, or CSV, of path and caption: the captions too.")
    ] = None,
    split_seed: Annotated[int, typer.Option(help="Which pictures train and which validate.")] = 0,
    shots: Annotated[
        int | None,
        typer.Option(
            help="Buy only so many pictures of each class and domain, for `train --shots`."
        ),
    ] = None,
    queries: Annotated[
        float, typer.Option(help="Share of the pictures to buy; 0 buys the class texts alone.")
    ] = 1.0,
    selection: Annotated[
        Selection, typer.Option(help="How that share is chosen; a smaller is part of a larger.")
    ] = "random",
    scored_by: Annotated[
        str, typer.Option(help="For uncertainty: run folder of a text-only student that scores.")
    ] = "",
    views: Annotated[
        int, typer.Option(help="Buy so many augmented views of each picture instead of the file.")
    ] = 0,
    trial_seed: Annotated[
        int,
        typer.Option(
            "--trial-seed", "--shot-seed", help="Decides which shots and which share are drawn."
        ),
    ] = 0,
    student: Annotated[
        str, typer.Option(help="For k-center: the student that looks; default that of training.")
    ] = "",
    image_size: Annotated[
        int, typer.Option(help="For k-center: pixels a side that it sees; 0: training's default.")
    ] = 0,
    run: Annotated[
        str | None, typer.Option(help="Name of the budget; default from DATA and the model.")
    ] = None,
    project: Annotated[
        str | None,
        typer.Option(help="Project whose cap the run shares; it is moved there from any other."),
    ] = None,
    in_flight: Annotated[
        int | None,
        typer.Option(min=1, max=256, help="Requests at once at most; found out below that."),
    ] = None,
    upload: Annotated[
        Literal["original", "pixels"] | None,
        typer.Option(
            help="original: picture files as they are; pixels: decoded and resized here, as the vendor would."
        ),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the quote and spend nothing.")
    ] = False,
    resume: Annotated[  # noqa: ARG001 (accepted because people type it)
        bool, typer.Option("--resume", help="Go on where a fetch ended; every fetch does.")
    ] = False,
    as_json: JsonFlag = False,
) -> None:
    """Buy the embeddings that DATA needs and the cache lacks, each once, within a budget.

    Exit code 3 when the budget ends first; run it again with a larger one to go on.

    Example: vl2v fetch DATA --model icon-clip --budget 2.50 --target solid
    Example: vl2v fetch DATA --teacher openai:http://127.0.0.1:7997 --model clip
    """
    from client.cli.fetching import carry_out
    from client.cli.narrowing import Narrowing
    from client.cli.order import FetchOrder
    from client.teachers import Terms

    if templates and prompts != "vendor":
        raise UsageError(f"--prompts {prompts} has texts of its own: leave out --templates")
    order = FetchOrder(
        data=data,
        model=model,
        cap_nanousd=read_budget(budget),
        targets=tuple(target or ()),
        purpose=purpose,
        templates=tuple(templates or ()),
        prompts=prompts,
        split_seed=split_seed,
        run=run,
        project=project,
        in_flight=in_flight,
        dry_run=dry_run,
        narrowing=Narrowing(
            shots=shots,
            queries=queries,
            selection=selection,
            scored_by=scored_by,
            views=views,
            seed=trial_seed,
            student=student,
            image_size=image_size,
        ),
        descriptions=descriptions,
        captions=captions,
        teacher=teacher,
        upload=upload,
        terms=Terms(read_budget(item_price, "--item-price"), logit_scale),
    )
    with _interruptible() as stop:
        carry_out(order, stop, as_json=as_json)


def read_budget(text: str | None, option: str = "--budget") -> int | None:
    """Nano-dollars of an option; None where none was given. Raises UsageError."""
    from shared.money import parse_usd

    if text is None:
        return None
    try:
        cap = parse_usd(text.removeprefix("$"))
    except ValueError as error:
        raise UsageError(f"{option}: {error}") from error
    if cap < 0:
        raise UsageError(f"{option}: an amount is not negative")
    return cap


@contextmanager
def _interruptible() -> Iterator[threading.Event]:
    """An event that the first Ctrl-C sets; the second ends the process as it stands."""
    stop = threading.Event()

    def on_interrupt(_signal: int, _frame: Any) -> None:
        if stop.is_set():
            # The journal knows what is under way: nothing needs a tidy end.
            os._exit(INTERRUPTED)
        stop.set()
        # A terminal has written ^C into the line of the progress bar.
        errors().print("\nfinishing what is under way; Ctrl-C again stops at once")

    if threading.current_thread() is not threading.main_thread():
        yield stop
        return
    before = signal.signal(signal.SIGINT, on_interrupt)
    try:
        yield stop
    finally:
        signal.signal(signal.SIGINT, before)
