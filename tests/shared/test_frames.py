"""Several parts in one body, and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.digests import digest_image, digest_pixels
from shared.frames import pack_frames, unpack_frames

PARTS = st.lists(st.binary(max_size=40), max_size=8)


@given(PARTS)
def test_what_is_packed_is_unpacked(parts: list[bytes]) -> None:
    assert unpack_frames(pack_frames(parts)) == parts


@given(PARTS.filter(bool), st.data())
def test_a_body_that_ends_between_frames_is_fewer_frames_and_else_nothing(
    parts: list[bytes], data: st.DataObject
) -> None:
    body = pack_frames(parts)
    ends = [len(pack_frames(parts[:count])) for count in range(len(parts) + 1)]
    cut = data.draw(st.integers(0, len(body) - 1))
    if cut in ends:
        assert unpack_frames(body[:cut]) == parts[: ends.index(cut)]
        return
    with pytest.raises(ValueError, match=r"frame \d+"):
        unpack_frames(body[:cut])


def test_the_frame_that_is_cut_is_named() -> None:
    with pytest.raises(ValueError, match="frame 1 says 3 bytes, 2 are left"):
        unpack_frames(pack_frames([b"a", b"bcd"])[:-1])


@given(st.binary(min_size=1, max_size=48))
def test_pixels_are_never_taken_for_a_file(data: bytes) -> None:
    assert digest_pixels(data, 4) != digest_image(data)
    assert digest_pixels(data, 4) != digest_pixels(data, 5)
    assert digest_pixels(memoryview(data), 4) == digest_pixels(data, 4)
