"""Where a command writes rows: a file that appears whole, or stdout."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO

__all__ = ["open_sink"]


@contextmanager
def open_sink(out: Path | None) -> Iterator[IO[bytes]]:
    """The file, complete or not there at all; stdout when none is named."""
    if out is None:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
        return
    partial = out.with_name(f"{out.name}.partial")
    try:
        with partial.open("wb") as file:
            yield file
        partial.replace(out)
    finally:
        partial.unlink(missing_ok=True)
