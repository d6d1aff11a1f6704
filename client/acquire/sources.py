"""Where the bytes of a digest are, checked again at the moment of sending."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from client.acquire.pixels import Pixels
from client.acquire.scratch import find_rows
from client.api import ImageInput, Input, TextInput
from client.budget import Batch
from client.cache.store import FILE_VIEW
from client.data import DataError
from client.data.views import RENDERER, draw_view, read_number
from shared.digests import digest_image

__all__ = ["Sources"]


@dataclass(frozen=True, slots=True)
class Sources:
    """All content at hand; more than one fetch wants, so that an earlier one can be recovered."""

    images: Mapping[bytes, Path]
    texts: Mapping[bytes, str]
    side: int = 224
    """Pixels a side of a view: what the teacher sees, so that it resizes nothing."""
    pixels: Pixels | None = None
    """Makes pixels of files, for a teacher that takes them."""

    @property
    def renderer(self) -> str:
        """What decides a view's bytes beside its file and number."""
        return f"{RENDERER}-{self.side}"

    def load(self, batch: Batch) -> list[Input]:
        """The batch's items in its order, drawn anew where it asks for a view of them.

        Raises DataError when a file is no longer what it was.
        """
        return list(self.read(batch))

    def read(self, batch: Batch) -> Iterator[Input]:
        """`load`, one item after the other."""
        paths = find_rows(self.images, batch.digests) if batch.modality == "image" else {}
        return (self._load(batch, digest, paths.get(digest)) for digest in batch.digests)

    def has(self, batch: Batch) -> bool:
        """Whether every item of the batch is at hand, unchanged, and can be sent as it was."""
        if batch.form == "pixels" and not (self.pixels and self.pixels.usable):
            return False
        try:
            for _ in self.read(batch):
                pass
        except DataError:
            return False
        return True

    def _load(self, batch: Batch, digest: bytes, path: Path | None) -> Input:
        if batch.modality == "text":
            if digest not in self.texts:
                raise DataError("a text of an earlier fetch is not among the prompts any more")
            return TextInput(self.texts[digest])
        if path is None:
            raise DataError("a picture of an earlier fetch is not in the data folder any more")
        try:
            with path.open("rb", buffering=0) as file:
                data = file.read()
        except OSError as error:
            raise DataError(
                f"{path} cannot be read any more ({error.strerror}): run the same command again"
            ) from error
        if digest_image(data) != digest:
            raise DataError(f"{path} changed while fetching: run the same command again")
        if batch.view == FILE_VIEW:
            return ImageInput(data)
        return ImageInput(self._draw(path, data, digest, batch.view))

    def _draw(self, path: Path, data: bytes, digest: bytes, view: str) -> bytes:
        try:
            return draw_view(data, digest, read_number(view), self.side)
        except (OSError, ValueError) as error:
            raise DataError(f"{path} cannot be shown as {view}: {error}") from error
