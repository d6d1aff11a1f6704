"""Where a result comes from: the commit of this code, the machine and the day."""

import platform
import subprocess
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from shared.cores import count_cores

GIT_SECONDS = 20

__all__ = ["describe_provenance"]


def describe_provenance() -> dict[str, Any]:
    """`commit` and `changed` (whether tracked files differ from it; both None outside a checkout),
    `date` (UTC), `processor`, `cores`, `torch`."""
    commit, changed = _read_commit(Path(__file__).parent)
    return {
        "commit": commit,
        "changed": changed,
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "processor": _read_processor(),
        "cores": count_cores(),
        "torch": _read_version("torch"),
    }


# The code of a process is that of its start: asked once.
@cache
def _read_commit(folder: Path) -> tuple[str | None, bool | None]:
    """(hash, changed) of the checkout that tracks this very file; an installed copy has none."""
    if _ask_git(folder, "ls-files", "--error-unmatch", Path(__file__).name) is None:
        return None, None
    commit = _ask_git(folder, "rev-parse", "HEAD")
    status = _ask_git(folder, "status", "--porcelain", "--untracked-files=no")
    return (commit, bool(status)) if commit else (None, None)


def _ask_git(folder: Path, *words: str) -> str | None:
    try:
        done = subprocess.run(  # noqa: S603  (our own arguments)
            ["git", *words],  # noqa: S607  (whichever git the user has)
            cwd=folder,
            capture_output=True,
            text=True,
            check=False,
            timeout=GIT_SECONDS,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None


@cache
def _read_processor() -> str:
    file = Path("/proc/cpuinfo")
    lines = file.read_text(encoding="utf-8").splitlines() if file.is_file() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def _read_version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None
