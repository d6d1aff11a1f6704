"""What the training commands have in common: Ctrl-C, threads, a progress bar."""

import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from client.cache.store import EmbeddingStore
from client.cli.screen import errors
from client.errors import ClientError
from client.settings import ClientSettings
from client.train.config import TrainConfig

if TYPE_CHECKING:
    from client.train.experiment import Experiment

__all__ = ["open_data", "open_store", "require_torch", "show_progress", "stopping"]


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """A question that Ctrl-C answers with yes; a second Ctrl-C stops at once."""
    asked: list[int] = []

    def remember(_number: int, _frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(1)
        errors().print("finishing this step and saving; Ctrl-C again stops at once")

    before = signal.signal(signal.SIGINT, remember)
    try:
        yield lambda: bool(asked)
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def show_progress(title: str, *, shown: bool = True) -> Iterator[Callable[[str, int, int], None]]:
    """A progress bar on stderr, where it is shown, that hears (stage, done, total)."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=errors(), disable=not shown) as bar:
        task = bar.add_task(title, total=None)

        def hear(stage: str, done: int, total: int) -> None:
            bar.update(task, description=f"{title} · {stage}", completed=done, total=total)

        yield hear


def open_store(cache: str | None) -> EmbeddingStore:
    """The cache of the settings, or the one named. Raises CacheError."""
    return EmbeddingStore.open(cache or ClientSettings.load().cache)


def open_data(data: Path, config: TrainConfig, store: EmbeddingStore) -> "Experiment":
    """The folder scanned and split, after the student's and the targets' names were checked."""
    from client.train.experiment import open_experiment
    from client.train.student import check_student

    check_student(config.student)
    with errors().status("reading the data folder"):
        experiment = open_experiment(data, config, store)
    experiment.fold(config.targets)
    return experiment


def require_torch(threads: int | None) -> None:
    """Load torch, or say how to install it; use `threads` processor threads."""
    try:
        from client.train.threads import use_threads
    except ImportError as error:
        raise ClientError("this command needs torch: type `pip install 'vl2v[train]'`") from error
    use_threads(threads)
