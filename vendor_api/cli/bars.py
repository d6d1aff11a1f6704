"""A progress bar on stderr, for what may take longer than a moment."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, SpinnerColumn, TextColumn

__all__ = ["show_count"]


@contextmanager
def show_count(title: str, total: int | None) -> Iterator[Callable[[int], None]]:
    """A function that moves the bar on by so many; it goes away at the end. `total` None: not known."""
    bar = Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        console=Console(stderr=True),
        transient=True,
    )
    with bar:
        task = bar.add_task(title, total=total)
        yield lambda count: bar.update(task, advance=count)
