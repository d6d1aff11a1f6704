"""Where the bytes of a digest are, checked again at the moment of sending."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from client.api import ImageInput, Input, TextInput
from client.budget import Batch
from client.data import DataError
from shared.digests import digest_image

__all__ = ["Sources"]


@dataclass(frozen=True, slots=True)
class Sources:
    """All content at hand; more than one fetch wants, so that an earlier one can be recovered."""

    images: Mapping[bytes, Path]
    texts: Mapping[bytes, str]

    def load(self, batch: Batch) -> list[Input]:
        """The batch's items in its order. Raises DataError when a file is no longer what it was."""
        return [self._load(batch, digest) for digest in batch.digests]

    def has(self, batch: Batch) -> bool:
        """Whether every item of the batch is at hand, unchanged."""
        try:
            self.load(batch)
        except DataError:
            return False
        return True

    def _load(self, batch: Batch, digest: bytes) -> Input:
        if batch.modality == "text":
            if digest not in self.texts:
                raise DataError("a text of an earlier fetch is not among the prompts any more")
            return TextInput(self.texts[digest])
        path = self.images.get(digest)
        if path is None:
            raise DataError("a picture of an earlier fetch is not in the data folder any more")
        try:
            data = path.read_bytes()
        except OSError as error:
            raise DataError(
                f"{path} cannot be read any more ({error.strerror}): run the same command again"
            ) from error
        if digest_image(data) != digest:
            raise DataError(f"{path} changed while fetching: run the same command again")
        return ImageInput(data)
