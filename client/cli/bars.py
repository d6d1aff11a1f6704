"""A bar that counts what was done, for commands that take more than a moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from client.cli.screen import errors

__all__ = ["show_count"]


@contextmanager
def show_count(what: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A progress bar on stderr, gone when it is done."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=errors(),
        transient=True,
    ) as bar:
        task = bar.add_task(what, total=total)
        yield lambda done: bar.update(task, advance=done)
