"""DomainBed folders, `DATA/domain/class/image`, read into a manifest."""

import os
import unicodedata
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from client.data.domainbed import find_nested
from client.data.groups import load_groups
from client.data.inspection import SUFFIXES, inspect_file
from client.data.manifest import (
    DataError,
    DigestMemo,
    FileState,
    Inspection,
    Manifest,
    Picture,
)

READERS = 4
LAYOUT = "DATA/domain/class/image.png"

__all__ = ["find_images", "scan_folders"]


def scan_folders(root: Path, *, memo: DigestMemo | None = None) -> Manifest:
    """Every picture below `root` with its domain, class, digest and group; nothing is sent.

    Hidden files are skipped; unreadable images are listed in `unreadable` and left out. Classes are
    the sorted union over the domains. `memo` spares unchanged files a second reading. Raises
    DataError for a missing folder, another layout, a known data set one folder further down, no image
    at all, and a class without one.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: name one laid out as {LAYOUT}")
    nested = find_nested(root)
    if nested is not None:
        raise DataError(f"the domains lie in {nested}: name that folder as DATA")
    found = list(_find_files(root))
    if not found:
        raise DataError(_explain_nothing(root))
    states = _stat_files(root, [path for path, _, _ in found])
    seen = _inspect(states, memo)
    groups = load_groups(root)
    pictures, unreadable = [], []
    for path, domain, label in found:
        inspection = seen[path]
        if inspection.digest is None:
            unreadable.append((path, inspection.problem or "unreadable"))
            continue
        group = groups.get(path, inspection.digest.hex())
        pictures.append(Picture(path, domain, label, inspection.digest, group))
    _refuse_empty_classes(root, pictures)
    return Manifest(
        root=root,
        pictures=tuple(pictures),
        domains=tuple(sorted({picture.domain for picture in pictures})),
        classes=tuple(sorted({picture.label for picture in pictures})),
        unreadable=tuple(unreadable),
    )


def find_images(root: Path) -> list[Path]:
    """Every file of the layout with an image's suffix, sorted, unread; none when the folder is gone."""
    return [root / path for path, _, _ in _find_files(root)] if root.is_dir() else []


def _find_files(root: Path) -> Iterator[tuple[str, str, str]]:
    """(path, domain, label) of each file with an image's suffix, sorted by path."""
    for domain in _folders(root):
        for label in _folders(domain):
            for file in sorted(_files(label)):
                relative = file.relative_to(root).as_posix()
                yield relative, _name(domain), _name(label)


def _folders(parent: Path) -> list[Path]:
    return sorted(p for p in parent.iterdir() if p.is_dir() and not p.name.startswith("."))


def _files(folder: Path) -> Iterator[Path]:
    for parent, below, names in os.walk(folder):
        below[:] = [name for name in below if not name.startswith(".")]
        for name in names:
            if not name.startswith(".") and Path(name).suffix.lower() in SUFFIXES:
                yield Path(parent, name)


def _name(folder: Path) -> str:
    """The folder's name in NFC: one class on a file system that stores names decomposed."""
    return unicodedata.normalize("NFC", folder.name)


def _stat_files(root: Path, paths: list[str]) -> dict[str, FileState | Inspection]:
    """Each path's state, or the problem of a file that vanished or cannot be named."""
    states: dict[str, FileState | Inspection] = {}
    for path in paths:
        try:
            path.encode()
            status = (root / path).stat()
        except UnicodeEncodeError:
            states[path] = Inspection(None, "its name is not UTF-8")
        except OSError as error:
            states[path] = Inspection(None, f"cannot be read: {error.strerror or error}")
        else:
            states[path] = FileState(str(root / path), status.st_size, status.st_mtime_ns)
    return states


def _inspect(
    states: dict[str, FileState | Inspection], memo: DigestMemo | None
) -> dict[str, Inspection]:
    files = [state for state in states.values() if isinstance(state, FileState)]
    known = memo.recall(files) if memo else {}
    fresh = [state for state in files if state not in known]
    # Pillow warns about odd metadata and large pictures; the inspection has its own words. Filters
    # belong to the process, so they are set once for all threads.
    with warnings.catch_warnings(), ThreadPoolExecutor(READERS) as pool:
        warnings.simplefilter("ignore")
        read = dict(zip(fresh, pool.map(lambda s: inspect_file(Path(s.path)), fresh), strict=True))
    if memo and read:
        memo.remember(read)
    known |= read
    return {
        path: known[state] if isinstance(state, FileState) else state
        for path, state in states.items()
    }


def _refuse_empty_classes(root: Path, pictures: list[Picture]) -> None:
    """A class folder without a picture is a mistake to hear of now, not after paying."""
    filled = {(picture.domain, picture.label) for picture in pictures}
    for domain in _folders(root):
        for label in _folders(domain):
            if (_name(domain), _name(label)) not in filled:
                where = label.relative_to(root).as_posix()
                raise DataError(
                    f"class folder {where} has no readable image: add one or remove the folder "
                    f"{root / where}"
                )


def _explain_nothing(root: Path) -> str:
    suffixes = ", ".join(sorted(SUFFIXES))
    loose = any(
        file.suffix.lower() in SUFFIXES
        for folder in [root, *_folders(root)]
        for file in folder.iterdir()
    )
    if loose:
        return f"{root} holds images outside class folders: lay them out as {LAYOUT}"
    return f"{root} holds no images ({suffixes}): lay them out as {LAYOUT}"
