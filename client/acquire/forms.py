"""In which form items go to a teacher: in JSON, in frames of octets, or as pixels made here."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from client.acquire.batches import wire_size
from client.acquire.pixels import Pixels, Undecodable
from client.acquire.sources import Sources
from client.api import ImageInput, Input, TextInput
from client.budget import Batch, Form, ItemOutcome
from client.settings import Upload
from shared.wire import Modality, ModelDocument

UNDECODABLE = "undecodable"
"""Of a file that cannot be made pixels of here; the vendor, asked with the file, may know better."""
FRAME = 4
"""Octets before each item in frames."""

__all__ = ["UNDECODABLE", "USUAL", "Cargo", "Forms", "choose_forms", "measure", "pack"]


@dataclass(frozen=True, slots=True)
class Forms:
    """How a teacher is asked, and how else it could be."""

    image: Form = "json"
    text: Form = "json"
    originals: Form = "json"
    """How files go when they go as files."""
    pixels: Pixels | None = None
    """None: this teacher takes none."""

    @property
    def upload(self) -> Upload:
        """The word for how pictures go."""
        return "pixels" if self.image == "pixels" else "original"

    def list_others(self, batch: Batch) -> tuple[Form, ...]:
        """The forms in which the same items could have been asked for before."""
        known: dict[Form, None] = {"json": None, self.originals: None}
        if batch.modality == "image" and self.pixels is not None and self.pixels.usable:
            known["pixels"] = None
        return tuple(form for form in known if form != batch.form)


USUAL = Forms()
"""Of every teacher: JSON."""


def choose_forms(upload: Upload, document: ModelDocument, pixels: Pixels) -> Forms:
    """What `--upload` comes to with this model. Raises UsageError where pixels cannot be sent."""
    originals: Form = "frames" if document.octets else "json"
    if upload == "pixels":
        pixels.check()
    image: Form = "pixels" if upload == "pixels" else originals
    return Forms(image, originals, originals, pixels if pixels.offered else None)


def measure(modality: Modality, form: Form, size: int, side: int) -> int:
    """Octets of one item on the wire, of a file or text of `size` bytes."""
    if form == "pixels":
        return 3 * side * side
    if form == "frames":
        return size + FRAME
    return wire_size(size) if modality == "image" else size


@dataclass(frozen=True, slots=True)
class Cargo:
    """A batch ready to be sent."""

    whole: Batch
    batch: Batch
    """Of `whole`, what is sent."""
    items: list[Input]
    """Of every form but pixels."""
    pixels: NDArray[np.uint8] | None = None
    """uint8[n, side, side, 3]"""
    failures: tuple[ItemOutcome, ...] = ()
    """The others: they cannot be decoded here, and cost nothing."""

    @property
    def size(self) -> int:
        """Octets of its items on the wire."""
        if self.pixels is not None:
            return self.pixels.nbytes
        batch = self.batch
        return sum(measure(batch.modality, batch.form, _count(item), 0) for item in self.items)


def pack(sources: Sources, batch: Batch) -> Cargo:
    """Read a batch's items and, where it asks for pixels, make them, a picture at a time.

    Raises DataError when a file is no longer what it was, UsageError where pixels cannot be made.
    """
    if batch.form != "pixels":
        return Cargo(batch, batch, sources.load(batch))
    return _develop(sources, batch)


def _develop(sources: Sources, batch: Batch) -> Cargo:
    pixels = sources.pixels
    if pixels is None:
        raise RuntimeError("pixels are sent only where they can be made")
    side = pixels.side
    drawn = np.empty((len(batch.digests), side, side, 3), dtype=np.uint8)
    sent: list[bytes] = []
    failures: list[ItemOutcome] = []
    for digest, item in zip(batch.digests, sources.read(batch), strict=True):
        try:
            drawn[len(sent)] = pixels.draw(_require_file(item))
            sent.append(digest)
        except Undecodable as error:
            failures.append(ItemOutcome(digest, UNDECODABLE, str(error)))
    part = replace(batch, digests=tuple(sent))
    return Cargo(batch, part, [], drawn[: len(sent)], tuple(failures))


def _require_file(item: Input) -> bytes:
    if isinstance(item, TextInput):
        raise RuntimeError("a text has no pixels")
    return item.data


def _count(item: Input) -> int:
    return len(item.data) if isinstance(item, ImageInput) else len(item.text.encode())
