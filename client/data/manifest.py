"""What a data folder holds, as plain values."""

from collections.abc import Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from client.errors import ClientError

__all__ = [
    "DataError",
    "DigestMemo",
    "FileState",
    "Found",
    "Inspection",
    "Manifest",
    "Picture",
    "Source",
    "Unreadable",
]


class DataError(ClientError):
    """The data folder cannot be used as it is."""


@dataclass(frozen=True, slots=True)
class Picture:
    """One readable image file and what its folders say about it."""

    path: str
    """Relative to the manifest's root, POSIX separators."""
    domain: str
    label: str
    """Empty where nothing says a class."""
    digest: bytes
    """SHA-256 of the file's bytes: what the vendor charges for once."""
    group: str
    """Pictures of one group (the same drawing or source) never part ways in a split."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file that has an image's name, or was listed as one, and is none; it is never sent."""

    path: str
    """Relative to the root."""
    reason: str


@dataclass(frozen=True, slots=True)
class Found:
    """A file that is to be an image, unread, and what its place says about it."""

    path: str
    """Relative to the source's root."""
    domain: str
    label: str
    problem: str = ""
    """Why it is not even opened."""


class Source(Protocol):
    """Where labelled pictures lie: a tree of folders, or a list of paths."""

    @property
    def root(self) -> Path:
        """The folder that paths are relative to; absolute."""
        ...

    @property
    def data(self) -> Path:
        """What the user names to mean it: the root, or the list."""
        ...

    def find(self) -> Iterator[Found]:
        """Every file, one at a time, in no order. Raises DataError."""
        ...

    def require(self, filled: AbstractSet[tuple[str, str]]) -> None:
        """Raises DataError unless every (domain, class) that it names is among those with a picture."""
        ...


@dataclass(frozen=True, slots=True)
class Manifest:
    """The pictures of one data source, sorted by path, under one class index for all domains."""

    root: Path
    pictures: tuple[Picture, ...]
    domains: tuple[str, ...]
    classes: tuple[str, ...]
    unreadable: tuple[tuple[str, str], ...]
    """Path and reason of each file that has an image's name but is none; it is never sent."""
    listing: Path | None = None
    """The CSV that names the pictures, if one does."""

    @property
    def data(self) -> Path:
        """What a command is given to mean this data."""
        return self.listing or self.root

    def file(self, picture: Picture) -> Path:
        """Where a picture's bytes are."""
        return self.root / picture.path


@dataclass(frozen=True, slots=True)
class FileState:
    """What tells a changed file from an unchanged one without reading it."""

    path: str
    """Absolute."""
    size: int
    """Bytes."""
    mtime_ns: int


@dataclass(frozen=True, slots=True)
class Inspection:
    """What reading a file once found: its digest, or why it is no usable image."""

    digest: bytes | None
    problem: str | None = None


class DigestMemo(Protocol):
    """Remembers inspections between runs, so that an unchanged file is read once."""

    def recall(self, files: Sequence[FileState]) -> dict[FileState, Inspection]:
        """What is known about these exact states; others are left out."""
        ...

    def remember(self, inspections: Mapping[FileState, Inspection]) -> None:
        """Keep these, replacing older states of the same paths."""
        ...
