"""What a caller hands over, made ready to send; what cannot be sent is refused here, by its index."""

import io
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from client.api.calls import ImageInput, Input, TextInput
from client.api.errors import InvalidInputError
from shared.wire import MAX_ITEMS

Picture = Path | str | bytes | Image.Image | NDArray[np.uint8]
"""An image: a path, a file's bytes, a PIL image, or uint8[height, width] or [height, width, 3 or 4]."""

_DEEP = ("I", "F")
"""PIL modes of more than eight bits: how to make eight of them is the caller's to say."""
_SHOWN = 3

S = TypeVar("S")

__all__ = ["Picture", "check_pixels", "read_inputs", "read_pictures"]


def read_inputs(given: str | Sequence[str | Input]) -> list[Input]:
    """Texts and images in order; a single text is a list of one. Raises InvalidInputError."""
    return _read_all("input", [given] if isinstance(given, str) else given, _read_input)


def read_pictures(given: Picture | Iterable[Picture]) -> list[ImageInput]:
    """The bytes to send of each image, in order; a single one is a list of one.

    Files are sent as they are. PIL images and arrays are sent as PNG files of their RGB pixels,
    which the vendor would make of them too. Raises InvalidInputError, which names every image that
    cannot be read by its index, before anything is sent.
    """
    single = isinstance(given, (str, bytes, Path, Image.Image)) or (
        isinstance(given, np.ndarray) and given.ndim < 4
    )
    pictures: Iterable[Any] = [given] if single else given  # type: ignore[assignment]
    return _read_all("images", pictures, _read_picture)


def check_pixels(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The array itself, contiguous. Raises InvalidInputError unless it is uint8[n, side, side, 3]."""
    shape = pixels.shape
    if pixels.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3:
        raise InvalidInputError(
            f"nothing was sent: pixels are {pixels.dtype}{list(shape)}, make them "
            "uint8[n, side, side, 3] as the model's document says"
        )
    if not 0 < len(pixels) <= MAX_ITEMS:
        raise InvalidInputError(
            f"nothing was sent: {len(pixels)} pictures, a request takes 1 to {MAX_ITEMS}"
        )
    return np.ascontiguousarray(pixels)


def _read_all(name: str, given: Iterable[S], read: Callable[[S], Any]) -> list[Any]:
    items: list[Any] = []
    problems: dict[int, str] = {}
    for index, one in enumerate(given):
        try:
            items.append(read(one))
        except (OSError, ValueError, TypeError) as error:
            problems[index] = _explain(error)
    if problems:
        said = [f"{name}[{index}] {why}" for index, why in list(problems.items())[:_SHOWN]]
        more = f"; {len(problems) - _SHOWN} more" if len(problems) > _SHOWN else ""
        raise InvalidInputError(f"nothing was sent: {'; '.join(said)}{more}", problems)
    if not items:
        raise InvalidInputError(f"nothing was sent: {name} is empty")
    if len(items) > MAX_ITEMS:
        raise InvalidInputError(
            f"nothing was sent: {len(items)} {name} are more than the {MAX_ITEMS} of one request: "
            "ask in several"
        )
    return items


def _explain(error: Exception) -> str:
    if isinstance(error, OSError) and error.strerror:
        return f"({error.filename}) cannot be read: {error.strerror}"
    return str(error)


def _read_input(item: object) -> Input:
    if isinstance(item, (TextInput, ImageInput)):
        read: Input = item
    elif isinstance(item, str):
        read = TextInput(item)
    else:
        raise TypeError(
            f"is a {type(item).__name__}: pass a text, TextInput or ImageInput; for picture files "
            "use client.images.embed"
        )
    if isinstance(read, TextInput):
        try:
            read.text.encode()
        except UnicodeEncodeError as error:
            raise ValueError("holds half a character (a lone surrogate): correct it") from error
    elif not read.data:
        raise ValueError("is an image of no bytes")
    return read


def _read_picture(picture: object) -> ImageInput:
    if isinstance(picture, bytes):
        data = picture
    elif isinstance(picture, (str, Path)):
        data = Path(picture).read_bytes()
    elif isinstance(picture, Image.Image):
        data = _write_png(picture)
    elif isinstance(picture, np.ndarray):
        data = _write_png(_as_image(picture))
    else:
        raise TypeError(
            f"is a {type(picture).__name__}: pass a path, a file's bytes, a PIL image, or a uint8 "
            "array of shape (height, width, 3)"
        )
    if not data:
        raise ValueError("is a file of no bytes")
    return ImageInput(data)


def _write_png(image: Image.Image) -> bytes:
    if image.mode.startswith(_DEEP):
        raise ValueError(f"has PIL mode {image.mode}: scale it to 8 bits and convert it to RGB")
    out = io.BytesIO()
    image.convert("RGB").save(out, "PNG")
    return out.getvalue()


def _as_image(pixels: NDArray[Any]) -> Image.Image:
    if pixels.dtype != np.uint8:
        raise ValueError(f"is an array of {pixels.dtype}: scale it to 0–255 and make it uint8")
    flat = pixels[..., 0] if pixels.ndim == 3 and pixels.shape[2] == 1 else pixels
    if 0 in flat.shape or not (flat.ndim == 2 or (flat.ndim == 3 and flat.shape[2] in (3, 4))):
        hint = " (channels go last)" if pixels.ndim == 3 and pixels.shape[0] in (1, 3, 4) else ""
        raise ValueError(
            f"is an array of shape {pixels.shape}: make it (height, width, 3) or (height, width)"
            f"{hint}"
        )
    return Image.fromarray(np.ascontiguousarray(flat))
