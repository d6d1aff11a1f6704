"""Folders that say what a picture shows: `DATA/domain/class/image` and `DATA/class/image`."""

import os
import unicodedata
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from client.data.domainbed import find_nested
from client.data.entries import is_folder, is_image, list_folders, read_entries
from client.data.inspection import SUFFIXES
from client.data.manifest import DataError, Found, Source

LAYOUT = "DATA/domain/class/image.png"

__all__ = ["LAYOUT", "ClassTree", "DomainTree", "open_tree"]


@dataclass(frozen=True, slots=True)
class DomainTree:
    """`DATA/domain/class/image`, as DomainBed lays data sets out."""

    root: Path

    @property
    def data(self) -> Path:
        """The folder itself."""
        return self.root

    def find(self) -> Iterator[Found]:
        """Every image below a class folder; one beside the class folders is listed as not asked about."""
        for domain in _folders(self.root):
            name = _name(domain)
            for label in _folders(domain):
                yield from _find_below(self.root, label, name)
            for entry in read_entries(domain):
                if is_image(entry.name) and not is_folder(entry):
                    path = _relative(self.root, entry.path)
                    yield Found(path, name, "", "it lies outside a class folder")

    def require(self, filled: AbstractSet[tuple[str, str]]) -> None:
        """A class folder without a picture is a mistake to hear of now, not after paying."""
        for domain in _folders(self.root):
            for label in _folders(domain):
                if (_name(domain), _name(label)) not in filled:
                    raise _name_empty(self.root, label)


@dataclass(frozen=True, slots=True)
class ClassTree:
    """`DATA/class/image`, as torchvision's ImageFolder: one domain, named after the folder."""

    root: Path

    @property
    def data(self) -> Path:
        """The folder itself."""
        return self.root

    def find(self) -> Iterator[Found]:
        """Every image below a class folder."""
        for label in _folders(self.root):
            yield from _find_below(self.root, label, _name(self.root))

    def require(self, filled: AbstractSet[tuple[str, str]]) -> None:
        """A class folder without a picture is a mistake to hear of now, not after paying."""
        for label in _folders(self.root):
            if (_name(self.root), _name(label)) not in filled:
                raise _name_empty(self.root, label)


def open_tree(root: Path) -> Source:
    """The tree at a folder, told by how deep its first pictures lie.

    Raises DataError for a missing folder, another layout, a known data set one folder further down,
    and no image at all.
    """
    root = Path(os.path.abspath(root))
    if not root.is_dir():
        raise DataError(f"{root} is not a folder: name one laid out as {LAYOUT}, or a CSV of paths")
    nested = find_nested(root)
    if nested is not None:
        raise DataError(f"the domains lie in {nested}: name that folder as DATA")
    first = _folders(root)
    if any(_holds_image(label) for domain in first for label in _folders(domain)):
        return DomainTree(root)
    if any(is_image(entry.name) for folder in first for entry in read_entries(folder)):
        return ClassTree(root)
    raise DataError(_explain_nothing(root))


def _find_below(root: Path, label: Path, domain: str) -> Iterator[Found]:
    """The class folder's images, its own folders' among them, without holding their names in memory."""
    name, waiting = _name(label), [str(label)]
    if _leads_back(label):
        yield Found(_relative(root, str(label)), domain, name, "it links to a folder above it")
        return
    while waiting:
        folder = waiting.pop()
        try:
            for entry in read_entries(folder):
                if not is_folder(entry):
                    if is_image(entry.name):
                        yield Found(_relative(root, entry.path), domain, name)
                elif entry.is_symlink():
                    path = _relative(root, entry.path)
                    yield Found(path, domain, name, "it links to a folder, which is not followed")
                else:
                    waiting.append(entry.path)
        except OSError as error:
            reason = f"cannot be opened: {error.strerror or error}"
            yield Found(_relative(root, folder), domain, name, reason)


def _folders(parent: Path) -> list[Path]:
    try:
        return list_folders(parent)
    except OSError as error:
        raise DataError(f"{parent} cannot be opened ({error.strerror}): let it be read") from error


def _holds_image(folder: Path) -> bool:
    return any(not found.problem for found in _find_below(folder, folder, ""))


def _leads_back(folder: Path) -> bool:
    """Whether a folder is a link to one that it lies in, so that its content would be found again."""
    if not folder.is_symlink():
        return False
    return folder.parent.resolve().is_relative_to(folder.resolve())


def _relative(root: Path, path: str) -> str:
    return path.removeprefix(f"{root}/")


def _name(folder: Path) -> str:
    """The folder's name in NFC: one class on a file system that stores names decomposed."""
    return unicodedata.normalize("NFC", folder.name)


def _name_empty(root: Path, label: Path) -> DataError:
    where = label.relative_to(root).as_posix()
    return DataError(
        f"class folder {where} has no readable image: add one or remove the folder {root / where}"
    )


def _explain_nothing(root: Path) -> str:
    suffixes = ", ".join(sorted(SUFFIXES))
    if any(is_image(entry.name) for entry in read_entries(root)):
        return f"{root} holds images outside class folders: lay them out as {LAYOUT}"
    return (
        f"{root} holds no images ({suffixes}): lay them out as {LAYOUT} or DATA/class/image.png, or "
        "name a CSV of paths"
    )
