"""Bought views: the same crop for ever, mild, and drawn where it says."""

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from client.data.views import (
    MIN_AREA,
    bound_bytes,
    draw_view,
    find_crop,
    name_view,
    name_views,
    read_number,
)

digests = st.binary(min_size=32, max_size=32)


def make_noise(side: int = 32, mode: str = "RGB") -> bytes:
    rng = np.random.default_rng(side)
    channels = len(Image.new(mode, (1, 1)).getbands())
    pixels = rng.integers(0, 256, size=(side, side, channels), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels, mode if channels > 1 else None).save(out, "PNG")
    return out.getvalue()


def read(data: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))


@given(digests, st.integers(0, 100))
def test_a_crop_is_mild_and_inside_the_picture(digest, number):
    crop = find_crop(digest, number)
    assert 0 <= crop.left <= crop.left + crop.width <= 1 + 1e-12
    assert 0 <= crop.top <= crop.top + crop.height <= 1 + 1e-12
    assert crop.width * crop.height >= 0.99 * MIN_AREA * 3 / 4
    assert crop == find_crop(digest, number)


def test_numbers_and_files_have_crops_of_their_own():
    crops = {find_crop(bytes([file]) * 32, number) for file in range(4) for number in range(4)}
    assert len(crops) == 16


def test_crops_are_where_training_draws_them():
    crops = [find_crop(bytes(32), number) for number in range(2000)]
    assert 0.45 < np.mean([crop.mirrored for crop in crops]) < 0.55
    areas = np.array([crop.width * crop.height for crop in crops])
    assert areas.max() < 1.01
    assert 0.8 < areas.mean() < 0.88


def test_a_view_is_a_png_of_the_stated_size_and_the_same_bytes_each_time():
    data = make_noise()
    view = draw_view(data, b"d" * 32, 3, 16)
    assert view == draw_view(data, b"d" * 32, 3, 16)
    image = Image.open(io.BytesIO(view))
    assert (image.format, image.size, image.mode) == ("PNG", (16, 16), "RGB")


def test_a_view_shows_its_crop():
    ramp = np.zeros((100, 100, 3), dtype=np.uint8)
    ramp[..., 0], ramp[..., 1] = np.arange(100)[None, :] * 2, np.arange(100)[:, None] * 2
    out = io.BytesIO()
    Image.fromarray(ramp).save(out, "PNG")
    digest = b"d" * 32
    for number in range(8):
        crop = find_crop(digest, number)
        seen = read(draw_view(out.getvalue(), digest, number, 64)).astype(float)
        left, right = seen[:, 0, 0].mean(), seen[:, -1, 0].mean()
        assert (left > right) == crop.mirrored
        assert min(left, right) == pytest.approx(200 * crop.left, abs=5)
        assert seen[0, :, 1].mean() == pytest.approx(200 * crop.top, abs=5)
        assert seen[-1, :, 1].mean() == pytest.approx(200 * (crop.top + crop.height), abs=5)


def test_what_is_transparent_becomes_white():
    out = io.BytesIO()
    Image.new("RGBA", (8, 8), (0, 0, 0, 0)).save(out, "PNG")
    assert (read(draw_view(out.getvalue(), b"d" * 32, 0, 8)) == 255).all()


@pytest.mark.parametrize("side", [1, 8, 64, 224])
def test_no_view_is_larger_than_was_quoted(side):
    assert len(draw_view(make_noise(side), b"d" * 32, 0, side)) <= bound_bytes(side)


def test_names_are_read_back():
    assert name_views(2) == ("crop-v1-0", "crop-v1-1")
    assert read_number(name_view(7)) == 7
    with pytest.raises(ValueError, match="written like crop-v1-0"):
        read_number("file")


def test_what_is_no_image_is_refused():
    with pytest.raises(OSError, match="identify"):
        draw_view(b"no image", b"d" * 32, 0, 8)
