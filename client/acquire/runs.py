"""A run: one budget, one namespace of idempotency keys, one fetch at a time."""

import hashlib
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from client.cache.database import Database
from client.cache.locks import LockHeld, file_lock
from client.errors import ClientError
from client.settings import find_home

__all__ = ["RunBusy", "hold_run", "name_run"]


class RunBusy(ClientError):
    """Another process is buying for this run."""


def name_run(root: Path, model_id: str) -> str:
    """The name that a data folder and a model get when the user gives none: the same each time."""
    mark = hashlib.sha256(f"{root.resolve()}\n{model_id}".encode()).hexdigest()[:8]
    return f"{root.resolve().name}-{mark}"


@contextmanager
def hold_run(database: Database, run: str) -> Iterator[None]:
    """Be the only process that buys for the run. Raises RunBusy.

    The operating system lets go of it even when the process is killed.
    """
    folder = database.file.parent if database.file else find_home()
    safe = re.sub(r"[^\w.-]", "_", run)[:80]
    mark = hashlib.sha256(run.encode()).hexdigest()[:8]
    try:
        with file_lock(folder / "locks" / f"{safe}-{mark}.lock", wait=False):
            yield
    except LockHeld as error:
        raise RunBusy(
            f"another `vl2v fetch` is buying for run {run}: wait for it, or name another run "
            "with --run"
        ) from error
