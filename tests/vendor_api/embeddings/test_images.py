"""Pictures from strangers."""

import base64
import struct
import zlib
from io import BytesIO
from typing import Any

import pytest
from PIL import Image

from vendor_api.embeddings.images import (
    MAX_IMAGE_BYTES,
    ImageRefused,
    check_image,
    open_image,
    read_upload,
)


def make_png(width: int, height: int, *, rows: int | None = None) -> bytes:
    """A PNG that claims a size, with as many rows of black as given."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        )

    header = struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0)
    row = b"\0" * (1 + (width + 7) // 8)
    data = zlib.compress(row * (height if rows is None else rows), 9)
    return (
        b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", data) + chunk(b"IEND", b"")
    )


def save(image: Image.Image, kind: str, **options: Any) -> bytes:
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def test_a_bomb_is_refused_by_its_header() -> None:
    bomb = make_png(8_000, 8_000)
    assert len(bomb) < 20_000
    with pytest.raises(ImageRefused, match="8000 × 8000 pixels: at most 40 megapixels"):
        check_image(bomb)


def test_a_bomb_beyond_pillows_own_limit_is_refused() -> None:
    for side in (10_000, 60_000):  # Pillow warns about the first and raises at the second
        with pytest.raises(ImageRefused, match="more than 40 megapixels"):
            check_image(make_png(side, side, rows=1))


def test_a_bomb_is_not_decoded_even_when_it_is_not_checked() -> None:
    with pytest.raises(ImageRefused):
        open_image(make_png(10_000, 10_000, rows=1))


def test_a_picture_that_is_too_long_is_refused() -> None:
    with pytest.raises(ImageRefused, match="pixels a side"):
        check_image(make_png(20_001, 1))


def test_a_large_picture_within_the_limits_is_accepted() -> None:
    check_image(make_png(20_000, 2_000))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"GIF89a" + b"\0" * 40,
        b"<svg/>",
        b"%!PS-Adobe",
        b"BM" + b"\0" * 60,
        b"RIFF\0\0\0\0WAVE",
    ],
)
def test_other_formats_are_refused_by_their_first_bytes(data: bytes) -> None:
    with pytest.raises(ImageRefused, match="neither JPEG, PNG nor WebP"):
        check_image(data)


@pytest.mark.parametrize(
    "data", [b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n\0\0", b"RIFF\0\0\0\0WEBPVP8 "]
)
def test_a_header_that_ends_early_is_refused(data: bytes) -> None:
    with pytest.raises(ImageRefused, match="header cannot be read"):
        check_image(data)


@pytest.mark.parametrize("kind", ["PNG", "WEBP"])
def test_an_animation_is_refused(kind: str) -> None:
    frames = [Image.new("RGB", (8, 8), (level, 0, 0)) for level in (0, 100, 200)]
    data = save(frames[0], kind, save_all=True, append_images=frames[1:], duration=50)
    with pytest.raises(ImageRefused, match="animated"):
        check_image(data)


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_truncated_picture_is_refused(kind: str) -> None:
    data = save(Image.effect_noise((80, 80), 60).convert("RGB"), kind)
    cut = data[: len(data) * 2 // 3]
    assert open_image(data).size == (80, 80)
    with pytest.raises(ImageRefused):
        open_image(cut)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"])
def test_every_mode_of_png_is_opened(mode: str) -> None:
    data = save(Image.new(mode, (9, 7)), "PNG")
    check_image(data)
    assert open_image(data).size == (9, 7)


def test_a_cmyk_jpeg_is_opened() -> None:
    assert open_image(save(Image.new("CMYK", (9, 7)), "JPEG")).mode == "CMYK"


def test_orientation_is_ignored_as_open_clip_ignores_it() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    assert open_image(save(Image.new("RGB", (9, 7)), "JPEG", exif=exif)).size == (9, 7)


def test_one_pixel_is_a_picture() -> None:
    data = save(Image.new("RGB", (1, 1)), "PNG")
    check_image(data)
    assert open_image(data).size == (1, 1)


@pytest.mark.parametrize("text", ["no base64!", "data:image/png;base64", "data:,%20", "YQ", "é"])
def test_what_is_no_base64_is_refused(text: str) -> None:
    with pytest.raises(ImageRefused):
        read_upload(text)


def test_too_many_bytes_are_refused_before_they_are_decoded() -> None:
    with pytest.raises(ImageRefused, match="bytes"):
        read_upload("A" * (MAX_IMAGE_BYTES * 4 // 3 + 5000))
    with pytest.raises(ImageRefused, match="bytes"):
        read_upload(base64.b64encode(b"\0" * (MAX_IMAGE_BYTES + 1)).decode())
