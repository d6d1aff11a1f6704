"""A data source taken stock of: each content once, on disk, so that any number of files fits."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from client.acquire.scratch import CHUNK, Scratch
from client.data.manifest import Picture, Unreadable

__all__ = ["Catalogue", "take_stock"]


@dataclass(frozen=True, slots=True)
class Catalogue:
    """What a source holds, and which of it is wanted."""

    root: Path
    """What paths are relative to."""
    images: Mapping[bytes, Path]
    """Digest → a file with these bytes, of all that is readable."""
    wanted: Mapping[bytes, Path]
    """The part of it that is to be had."""
    unreadable: Mapping[str, str]
    """Path → why it is never sent."""
    files: int
    """Readable ones, those with the same bytes as another included."""
    domains: tuple[str, ...]
    classes: tuple[str, ...]

    @property
    def duplicates(self) -> int:
        """Files with the same bytes as another: paid for once."""
        return self.files - len(self.images)


def take_stock(
    root: Path,
    pictures: Iterable[Picture | Unreadable],
    is_wanted: Callable[[Picture], bool],
    scratch: Scratch,
) -> Catalogue:
    """Write down a stream of pictures below `root`; in memory are a few hundred, and all class names."""
    images, wanted, unreadable = scratch.paths(), scratch.paths(), scratch.reasons()
    files, domains, classes = 0, set[str](), set[str]()
    stream = iter(pictures)
    while part := list(islice(stream, CHUNK)):
        readable = [item for item in part if isinstance(item, Picture)]
        found = [(picture.digest, root / picture.path) for picture in readable]
        images.add(found)
        wanted.add(row for row, picture in zip(found, readable, strict=True) if is_wanted(picture))
        unreadable.add((item.path, item.reason) for item in part if isinstance(item, Unreadable))
        files += len(readable)
        domains.update(picture.domain for picture in readable)
        classes.update(picture.label for picture in readable)
    names = tuple(sorted(domains)), tuple(sorted(classes - {""}))
    return Catalogue(root, images, wanted, unreadable, files, *names)
