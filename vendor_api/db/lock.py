"""One server a SQLite file: a second one is refused, while commands may open the file beside it."""

import fcntl
import os
from pathlib import Path
from types import TracebackType
from typing import Self

from vendor_api.db.engine import sqlite_path
from vendor_api.refusal import Refusal

__all__ = ["DatabaseInUse", "ServerLock"]


class DatabaseInUse(Refusal):
    """Another server already serves this SQLite file."""


class ServerLock:
    """Held by a server for as long as it serves; the system drops it when the process dies.

    PostgreSQL needs none: any number of servers may share it, and `exclusive` is False.
    """

    def __init__(self, database_url: str) -> None:
        database = sqlite_path(database_url)
        self._path = None if database is None else Path(f"{database}.lock")
        self._file: int | None = None

    @property
    def exclusive(self) -> bool:
        """Whether no other server can be running on this database."""
        return self._file is not None

    def acquire(self) -> None:
        """Raises DatabaseInUse when another server holds the file."""
        if self._path is None:
            return
        file = os.open(self._path, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            owner = os.pread(file, 32, 0).decode(errors="replace").strip()
            os.close(file)
            raise DatabaseInUse(
                f"a server (pid {owner or 'unknown'}) already serves {self._path.stem}: "
                "stop it first, or use PostgreSQL for more than one"
            ) from error
        os.ftruncate(file, 0)
        os.pwrite(file, str(os.getpid()).encode(), 0)
        self._file = file

    def release(self) -> None:
        """Let another server start; the file stays, since deleting it would let two lock at once."""
        if self._file is not None:
            os.close(self._file)
            self._file = None

    def __enter__(self) -> Self:
        self.acquire()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
