"""A source of labelled pictures, read into a stream or a manifest; nothing is sent."""

import os
import warnings
from collections.abc import Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from itertools import islice
from pathlib import Path
from stat import S_ISREG

from client.data.groups import load_groups
from client.data.inspection import inspect_file
from client.data.listing import Listing
from client.data.manifest import (
    DataError,
    DigestMemo,
    FileState,
    Found,
    Inspection,
    Manifest,
    Picture,
    Source,
    Unreadable,
)
from client.data.trees import open_tree

READERS = 4
CHUNK = 500
"""Files looked at together: all that a stream holds in memory."""

__all__ = ["find_images", "open_source", "read_pictures", "scan_folders"]


def open_source(data: Path) -> Source:
    """What the user names as DATA: a tree of folders, or a CSV of paths. Raises DataError."""
    return Listing(Path(os.path.abspath(data))) if data.is_file() else open_tree(data)


def read_pictures(
    source: Source, *, memo: DigestMemo | None = None
) -> Iterator[Picture | Unreadable]:
    """Every picture with its domain, class, digest and group, in no order, and every file that is none.

    Hidden files are skipped. `memo` spares unchanged files a second reading. Of the pictures no more
    than a few hundred are in memory at a time; of `DATA/manifest.jsonl`, its groups. Raises DataError
    for what the source refuses, at the end for a class without a picture.
    """
    groups, filled, found = load_groups(source.root), set(), source.find()
    with ThreadPoolExecutor(READERS) as pool:
        while part := list(islice(found, CHUNK)):
            seen = _inspect([_stat(source.root, file) for file in part], memo, pool)
            for file, inspection in zip(part, seen, strict=True):
                if inspection.digest is None:
                    yield Unreadable(file.path, inspection.problem or "unreadable")
                    continue
                filled.add((file.domain, file.label))
                group = groups.get(file.path, inspection.digest.hex())
                yield Picture(file.path, file.domain, file.label, inspection.digest, group)
    source.require(filled)


def scan_folders(data: Path, *, memo: DigestMemo | None = None) -> Manifest:
    """Every picture of a tree of folders, or of a CSV of paths, in memory and sorted by path.

    Unreadable images are listed in `unreadable` and left out. Classes are the sorted union over the
    domains. Raises DataError as `open_source` and `read_pictures` do, and for a path listed twice with
    two classes or domains.
    """
    source = open_source(data)
    pictures, unreadable = [], []
    for item in read_pictures(source, memo=memo):
        if isinstance(item, Picture):
            pictures.append(item)
        else:
            unreadable.append((item.path, item.reason))
    kept = _sort(source, pictures)
    return Manifest(
        root=source.root,
        pictures=tuple(kept),
        domains=tuple(sorted({picture.domain for picture in kept})),
        classes=tuple(sorted({picture.label for picture in kept} - {""})),
        unreadable=tuple(sorted(unreadable)),
        listing=source.data if source.data != source.root else None,
    )


def find_images(data: Path) -> list[Path]:
    """Every file of a source, sorted, unread; none when the source is gone."""
    try:
        source = open_source(data)
    except DataError:
        return []
    found = [file.path for file in source.find() if not file.problem]
    return [source.root / path for path in sorted(found, key=_by_parts)]


def _sort(source: Source, pictures: list[Picture]) -> list[Picture]:
    by_path: dict[str, Picture] = {}
    for picture in pictures:
        if by_path.setdefault(picture.path, picture) != picture:
            raise DataError(
                f"{source.data} lists {picture.path} twice, with two classes or domains: remove a row"
            )
    return [by_path[path] for path in sorted(by_path, key=_by_parts)]


def _by_parts(path: str) -> list[str]:
    """As folders sort: `a/x` before `a b/x`."""
    return path.split("/")


def _stat(root: Path, file: Found) -> FileState | Inspection:
    """The file's state, or the problem of one that vanished, is none, or cannot be named."""
    if file.problem:
        return Inspection(None, file.problem)
    place = os.path.join(root, file.path)
    try:
        place.encode()
        status = os.stat(place)
    except UnicodeEncodeError:
        return Inspection(None, "its name is not UTF-8")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        return Inspection(None, f"cannot be read: {reason}")
    if not S_ISREG(status.st_mode):
        return Inspection(None, "it is no file")
    return FileState(place, status.st_size, status.st_mtime_ns)


def _inspect(
    states: list[FileState | Inspection], memo: DigestMemo | None, pool: Executor
) -> list[Inspection]:
    files = [state for state in states if isinstance(state, FileState)]
    known = memo.recall(files) if memo else {}
    fresh = [state for state in files if state not in known]
    if fresh:
        # Pillow warns about odd metadata and large pictures; the inspection has its own words.
        # Filters belong to the process, so they are set once for all threads.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seen = pool.map(lambda state: inspect_file(Path(state.path)), fresh)
            read = dict(zip(fresh, seen, strict=True))
        if memo:
            memo.remember(read)
        known |= read
    return [known[state] if isinstance(state, FileState) else state for state in states]
