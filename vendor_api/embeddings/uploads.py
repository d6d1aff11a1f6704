"""The body of a binary route: one image or text, several in frames, or pixels ready for the model."""

from dataclasses import dataclass
from typing import Literal

import numpy as np

from shared import headers
from shared.digests import digest_pixels
from shared.errors import ErrorCode
from shared.frames import FRAMES, TENSOR, unpack_frames
from shared.wire import MAX_ITEMS, Modality
from vendor_api.embeddings.requests import Ask, read_file, read_text
from vendor_api.engine.base import ModelInfo
from vendor_api.errors import VendorError

Kind = Literal["image", "images", "tensor", "text", "texts"]

KINDS: dict[Modality, dict[str, Kind]] = {
    "image": {
        "image/jpeg": "image",
        "image/png": "image",
        "image/webp": "image",
        FRAMES: "images",
        TENSOR: "tensor",
    },
    "text": {"text/plain": "text", FRAMES: "texts"},
}
"""Media type → what the body then is."""

QUICK_BYTES = 64 * 1024

__all__ = ["KINDS", "Kind", "Upload", "find_kind"]


def find_kind(modality: Modality, content_type: str) -> Kind:
    """What a body of that media type is. Raises VendorError for another."""
    named = content_type.partition(";")[0].strip().lower()
    kinds = KINDS[modality]
    if named not in kinds:
        raise _invalid(f"Send the body as {', '.join(kinds)}.", "content-type")
    return kinds[named]


@dataclass(frozen=True, slots=True)
class Upload:
    """A body and what its headers say of it."""

    kind: Kind
    body: bytes
    shape: str = ""
    dtype: str = ""

    @property
    def is_quick(self) -> bool:
        """Whether it is read in less time than a thread takes to wake: one item, and no large one."""
        return self.kind in ("image", "text") and len(self.body) <= QUICK_BYTES

    def read(self, info: ModelInfo) -> list[Ask]:
        """Its items; pictures are checked by their headers. Raises VendorError."""
        if not self.body:
            raise _invalid("The body is empty: send at least one item.", "body")
        if self.kind == "tensor":
            return self._read_tensor(info)
        parts = [self.body] if self.kind in ("image", "text") else _unpack(self.body)
        _check_count(len(parts))
        if self.kind in ("image", "images"):
            return [read_file(part) for part in parts]
        return [read_text(_decode(part, index), index) for index, part in enumerate(parts)]

    def _read_tensor(self, info: ModelInfo) -> list[Ask]:
        side = info.preprocessing.image_size
        count = self._count_pictures(info)
        size = side * side * 3
        if len(self.body) != count * size:
            raise _invalid(
                f"{count} pictures of {side} × {side} × 3 are {count * size} bytes, the body has "
                f"{len(self.body)}.",
                "body",
            )
        _check_count(count)
        pixels = np.frombuffer(self.body, dtype=np.uint8).reshape(count, side, side, 3)
        view = memoryview(self.body)
        return [
            Ask(
                "image",
                digest_pixels(view[row * size : (row + 1) * size], side),
                pixels=pixels[row],
            )
            for row in range(count)
        ]

    def _count_pictures(self, info: ModelInfo) -> int:
        side = str(info.preprocessing.image_size)
        first, *rest = self.shape.replace(" ", "").split(",")
        count = int(first) if first.isdecimal() and len(first) < 9 else 0
        if rest != [side, side, "3"] or not count:
            raise _invalid(
                f"`{headers.SHAPE}` for {info.id} is `N,{side},{side},3`.", headers.SHAPE
            )
        if self.dtype != "uint8":
            raise _invalid(f"`{headers.DTYPE}` of the pixels is `uint8`.", headers.DTYPE)
        return count


def _decode(data: bytes, index: int) -> str:
    try:
        return data.decode()
    except UnicodeDecodeError as error:
        raise VendorError(
            ErrorCode.INVALID_TEXT, f"Item {index} is not UTF-8.", param="body"
        ) from error


def _unpack(body: bytes) -> list[bytes]:
    try:
        return unpack_frames(body)
    except ValueError as error:
        raise _invalid(f"The frames cannot be read: {error}.", "body") from error


def _check_count(count: int) -> None:
    if count > MAX_ITEMS:
        raise _invalid(f"The body has {count} items: send at most {MAX_ITEMS} at a time.", "body")


def _invalid(detail: str, param: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_REQUEST, detail, param=param)
