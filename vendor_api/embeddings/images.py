"""From bytes that a stranger sent to a picture: nothing is decoded before its header has been checked."""

import base64
import binascii
import warnings
from io import BytesIO

from PIL import Image

from vendor_api.embeddings.png_rows import can_hold

MAX_IMAGE_BYTES = 20 * 1024 * 1024
MAX_PIXELS = 40_000_000
MAX_SIDE = 20_000

# Pillow only warns between its limit and twice its limit; a warning is too late for us.
warnings.filterwarnings("error", category=Image.DecompressionBombWarning)

__all__ = [
    "MAX_IMAGE_BYTES",
    "MAX_PIXELS",
    "MAX_SIDE",
    "ImageRefused",
    "check_image",
    "open_image",
    "read_upload",
]


class ImageRefused(ValueError):
    """Why an image cannot be used, in one sentence for its sender."""


def read_upload(text: str) -> bytes:
    """The file behind base64 text or a data URI. Raises ImageRefused."""
    if text.startswith("data:"):
        _, comma, text = text.partition(",")
        if not comma:
            raise ImageRefused("the data URI has no comma before its base64 text")
    if len(text) > MAX_IMAGE_BYTES * 4 // 3 + 4096:
        raise ImageRefused(f"the image has more than {MAX_IMAGE_BYTES} bytes")
    try:
        data = base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ImageRefused("the image is not base64") from error
    if len(data) > MAX_IMAGE_BYTES:
        raise ImageRefused(f"the image has more than {MAX_IMAGE_BYTES} bytes")
    return data


def check_image(data: bytes) -> int:
    """The pixels of a picture, from its header alone.

    Raises ImageRefused for what is no single JPEG, PNG or WebP picture of bearable size.
    """
    try:
        with _open(data) as image:
            width, height = image.size
            frames = getattr(image, "n_frames", 1)
            animated = frames != 1 and image.format != "MPO"
    except ImageRefused:
        raise
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise ImageRefused(
            f"the image has more than {MAX_PIXELS // 1_000_000} megapixels"
        ) from error
    except Exception as error:
        raise ImageRefused("the image's header cannot be read") from error
    if width * height > MAX_PIXELS or max(width, height) > MAX_SIDE:
        raise ImageRefused(
            f"the image is {width} × {height} pixels: at most {MAX_PIXELS // 1_000_000} megapixels "
            f"and {MAX_SIDE} pixels a side are accepted"
        )
    if image.format == "PNG" and not can_hold(data):
        raise ImageRefused(
            f"the image has too little data for the {width} × {height} pixels that its header claims"
        )
    if animated:
        raise ImageRefused("the image is animated: send one frame")
    return int(width * height)


def open_image(data: bytes) -> Image.Image:
    """The decoded picture, in its own mode; its EXIF orientation is ignored, as open_clip ignores it.

    Raises ImageRefused.
    """
    try:
        image = _open(data)
        image.load()
    except (ImageRefused, MemoryError):
        raise
    except Exception as error:
        # Pillow's decoders raise many kinds on damaged files; none may pass for our own fault.
        raise ImageRefused(f"the image cannot be decoded: {error}") from error
    return image


def _open(data: bytes) -> Image.Image:
    return Image.open(BytesIO(data), formats=[_format_of(data)])


def _format_of(data: bytes) -> str:
    if data.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    raise ImageRefused("the image is neither JPEG, PNG nor WebP")
