"""A whole copy of the cache beside it, made before anything in the file changes for good."""

import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path

__all__ = ["keep_copy"]


def keep_copy(file: Path, mark: str) -> Path:
    """Copy a SQLite file, what is still in its log included, to `<name>.<mark>`; returns where.

    The copy appears whole or not at all. Raises sqlite3.Error or OSError, such as for a full disk.
    """
    copy = file.with_name(f"{file.name}.{mark}")
    unfinished = file.with_name(f".{copy.name}.{os.getpid()}")
    try:
        with closing(sqlite3.connect(file)) as source, closing(sqlite3.connect(unfinished)) as out:
            source.backup(out)
            # One file, without a log beside it that could be left behind.
            out.execute("PRAGMA journal_mode=DELETE")
        shutil.copymode(file, unfinished)
        descriptor = os.open(unfinished, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
        unfinished.replace(copy)
    except BaseException:
        unfinished.unlink(missing_ok=True)
        raise
    return copy
