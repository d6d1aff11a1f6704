"""What a folder holds, looked at without opening files or falling over odd links."""

import os
from collections.abc import Iterator
from pathlib import Path

from client.data.inspection import SUFFIXES

__all__ = ["is_folder", "is_image", "list_folders", "read_entries"]


def read_entries(folder: Path | str) -> Iterator["os.DirEntry[str]"]:
    """What is in a folder and not hidden, one at a time. Raises OSError."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if not entry.name.startswith("."):
                yield entry


def list_folders(parent: Path) -> list[Path]:
    """The folders in a folder, sorted; links to folders are among them. Raises OSError."""
    # scandir knows what is a folder without asking about each of a class's thousand files.
    return sorted(Path(entry.path) for entry in read_entries(parent) if is_folder(entry))


def is_folder(entry: "os.DirEntry[str]") -> bool:
    """Whether it is one, or links to one."""
    try:
        return entry.is_dir()
    except OSError:  # a link that leads round in a circle
        return False


def is_image(name: str) -> bool:
    """Whether a file of that name is to be an image."""
    return os.path.splitext(name)[1].lower() in SUFFIXES
