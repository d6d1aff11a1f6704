"""What `/metrics` answers: this process's numbers, or those of all that share one folder.

Servers on one machine that share a PostgreSQL may share `PROMETHEUS_MULTIPROC_DIR` too: whichever
is asked then answers for all of them. Every process keeps its numbers in files of that folder named
by its process id. Containers see other process ids, so each is asked by itself instead.
"""

import os
import re
from collections.abc import Iterator
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from vendor_api.metrics import Metrics
from vendor_api.refusal import Refusal

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"

_FILE = re.compile(r"([a-z_]+?)_(\d+)\.db")

__all__ = ["VARIABLE", "expose", "leave_folder", "prepare_folder"]


def expose(metrics: Metrics) -> bytes:
    """Prometheus text of every process that shares the folder, or of this one alone."""
    metrics.refresh()
    folder = _find_folder()
    if folder is None:
        return generate_latest(metrics.registry)
    for path, kind, pid in _list_files(folder):
        if kind.startswith("gauge") and not _is_alive(pid):
            path.unlink(missing_ok=True)
    registry = CollectorRegistry()
    MultiProcessCollector(registry, path=str(folder))  # type: ignore[no-untyped-call]
    return generate_latest(registry)


def prepare_folder() -> None:
    """Make the folder, without what processes left that are gone; before the first metric exists.

    Their counters stay while another process lives, lest a sum falls; after the last one they go.
    Raises Refusal when the folder cannot be used.
    """
    folder = _find_folder()
    if folder is None:
        return
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f".{os.getpid()}").touch()
        (folder / f".{os.getpid()}").unlink()
    except OSError as error:
        raise Refusal(f"{VARIABLE}: {folder} cannot be written ({error.strerror})") from error
    files = list(_list_files(folder))
    # A file of this very id is of a process before this one, as in a container that starts again.
    others = any(pid != os.getpid() and _is_alive(pid) for _, _, pid in files)
    for path, kind, pid in files:
        gone = pid == os.getpid() or not _is_alive(pid)
        if gone and (kind.startswith("gauge") or not others):
            path.unlink(missing_ok=True)


def leave_folder() -> None:
    """Take back what is only true of a process that lives: its gauges."""
    folder = _find_folder()
    if folder is not None:
        for path, kind, pid in _list_files(folder):
            if pid == os.getpid() and kind.startswith("gauge"):
                path.unlink(missing_ok=True)


def _find_folder() -> Path | None:
    value = os.environ.get(VARIABLE)
    return Path(value) if value else None


def _list_files(folder: Path) -> Iterator[tuple[Path, str, int]]:
    """Each file with what it holds and its process."""
    for path in folder.iterdir():
        match = _FILE.fullmatch(path.name)
        if match is not None:
            yield path, match[1], int(match[2])


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
