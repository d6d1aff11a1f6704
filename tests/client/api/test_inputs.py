"""Pictures in any form are sent as files; what cannot be sent is named by its index, and nothing is."""

import io
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from client.api import ImageInput, InvalidInputError, TextInput
from client.api.inputs import read_inputs, read_pictures
from shared.wire import MAX_ITEMS
from tests.client.pictures import make_picture
from tests.client.standin import StandInVendor


def open_sent(sent: ImageInput) -> np.ndarray:
    with Image.open(io.BytesIO(sent.data)) as image:
        assert image.mode == "RGB"
        return np.asarray(image)


class TestPictures:
    def test_files_are_sent_as_they_are(self, tmp_path: Path) -> None:
        file = tmp_path / "a.png"
        file.write_bytes(make_picture(1))
        sent = read_pictures([file, str(file), make_picture(1)])
        assert {one.data for one in sent} == {make_picture(1)}

    @pytest.mark.parametrize(
        "one",
        [make_picture(1), Image.new("L", (3, 2)), np.zeros((2, 3), np.uint8)],
        ids=["bytes", "PIL", "array"],
    )
    def test_one_alone_is_a_list_of_one(self, one: object) -> None:
        assert len(read_pictures(one)) == 1  # type: ignore[arg-type]

    @given(
        pixels=arrays.arrays(
            np.uint8,
            st.tuples(st.integers(1, 9), st.integers(1, 9)).flatmap(
                lambda side: st.sampled_from([side, (*side, 1), (*side, 3), (*side, 4)])
            ),
        )
    )
    def test_an_array_arrives_pixel_by_pixel(self, pixels: np.ndarray) -> None:
        (sent,) = read_pictures(pixels)
        deep = pixels[..., None] if pixels.ndim == 2 else pixels
        wanted = deep[..., :3] if deep.shape[2] > 1 else np.repeat(deep, 3, axis=2)
        np.testing.assert_array_equal(open_sent(sent), wanted)

    def test_a_stack_of_arrays_is_many_pictures(self) -> None:
        stack = np.random.default_rng(0).integers(0, 255, (3, 4, 5, 3), dtype=np.uint8)
        for sent, pixels in zip(read_pictures(stack), stack, strict=True):
            np.testing.assert_array_equal(open_sent(sent), pixels)

    @pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"])
    def test_a_pil_image_arrives_as_the_vendor_would_see_it(self, mode: str) -> None:
        pixels = np.random.default_rng(0).integers(0, 255, (4, 5, 3), dtype=np.uint8)
        image = Image.fromarray(pixels).convert(mode)
        (sent,) = read_pictures(image)
        np.testing.assert_array_equal(open_sent(sent), np.asarray(image.convert("RGB")))

    def test_the_same_pixels_are_the_same_bytes(self) -> None:
        pixels = np.full((4, 4, 3), 7, np.uint8)
        assert read_pictures(pixels) == read_pictures(Image.fromarray(pixels.copy()))


class TestRefusals:
    @pytest.mark.parametrize(
        ("bad", "said"),
        [
            (Path("/nowhere/a.png"), r"\(/nowhere/a.png\) cannot be read: No such file"),
            (b"", "is a file of no bytes"),
            (np.zeros((2, 2, 3)), "is an array of float64: scale it to 0–255 and make it uint8"),
            (np.zeros((3, 8, 8), np.uint8), r"shape \(3, 8, 8\).*channels go last"),
            (np.zeros((8,), np.uint8), r"shape \(8,\): make it \(height, width, 3\)"),
            (np.zeros((0, 8, 3), np.uint8), r"shape \(0, 8, 3\)"),
            (Image.new("F", (2, 2)), "has PIL mode F: scale it to 8 bits"),
            (Image.new("I;16", (2, 2)), "has PIL mode I;16: scale it to 8 bits"),
            (7, "is a int: pass a path, a file's bytes"),
            (None, "is a NoneType: pass a path"),
        ],
        ids=lambda value: None if isinstance(value, str) else type(value).__name__,
    )
    def test_the_bad_one_is_named_and_nothing_is_sent(
        self, vendor: StandInVendor, bad: object, said: str
    ) -> None:
        with (
            vendor.client() as client,
            pytest.raises(
                InvalidInputError, match=rf"nothing was sent: images\[1\].* {said}"
            ) as caught,
        ):
            client.images.embed([make_picture(1), bad], model="toy")  # type: ignore[list-item]
        assert list(caught.value.problems) == [1]
        assert vendor.requests == []

    def test_all_bad_ones_are_known_and_the_first_are_told(self) -> None:
        with pytest.raises(
            InvalidInputError, match=r"images\[0\].*images\[2\].*; 2 more"
        ) as caught:
            read_pictures([b"", b"", b"", b"", b""])
        assert list(caught.value.problems) == [0, 1, 2, 3, 4]

    def test_texts_are_checked_too(self) -> None:
        with pytest.raises(InvalidInputError, match=r"input\[1\] is a PosixPath.*images\.embed"):
            read_inputs(["a", Path("cat.png")])  # type: ignore[list-item]
        with pytest.raises(InvalidInputError, match=r"input\[0\] holds half a character"):
            read_inputs("\ud800")
        with pytest.raises(InvalidInputError, match=r"input\[0\] is an image of no bytes"):
            read_inputs([ImageInput(b"")])
        assert read_inputs([TextInput("a"), "b"]) == [TextInput("a"), TextInput("b")]

    @pytest.mark.parametrize(("count", "said"), [(0, "empty"), (MAX_ITEMS + 1, "ask in several")])
    def test_as_many_as_a_request_takes(self, count: int, said: str) -> None:
        with pytest.raises(InvalidInputError, match=said):
            read_inputs(["a"] * count)
        assert len(read_inputs(["a"] * MAX_ITEMS)) == MAX_ITEMS

    def test_it_is_a_value_error_too(self) -> None:
        with pytest.raises(ValueError, match="nothing was sent"):
            read_pictures([])
