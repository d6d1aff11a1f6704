"""Batches computed side by side: every row once, in its place, whatever the numbers."""

import threading
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from vendor_api.engine.shares import IMAGES, MOST, TEXTS, SideBySide, cut


@given(items=st.integers(1, 70), cores=st.integers(1, 9), largest=st.integers(1, 20))
def test_shares_hold_every_item_once_and_in_order(items: int, cores: int, largest: int) -> None:
    shares = list(cut(np.arange(items), cores, largest))
    assert np.concatenate(shares).tolist() == list(range(items))
    sizes = [len(share) for share in shares]
    assert max(sizes) <= largest
    assert max(sizes) - min(sizes) <= 1
    assert len(shares) >= min(items, cores)


def test_rows_come_back_in_their_places_whichever_share_is_done_first() -> None:
    second_done = threading.Event()

    def encode(items: NDArray[Any]) -> NDArray[np.float32]:
        if items[0] == 0:
            assert second_done.wait(30)
        else:
            second_done.set()
        return items[:, None].astype(np.float32)

    vectors = SideBySide(2)(encode, 4, np.arange(8))
    assert vectors[:, 0].tolist() == list(range(8))


def test_a_lone_image_has_every_core_and_a_lone_text_one() -> None:
    threads: list[threading.Thread] = []

    def encode(items: NDArray[Any]) -> NDArray[np.float32]:
        threads.append(threading.current_thread())
        return np.zeros((len(items), 1), dtype=np.float32)

    images, texts = np.zeros((9, 2, 2, 3)), np.zeros((1, 12))
    SideBySide(2)(encode, IMAGES, images[:1])
    SideBySide(1)(encode, IMAGES, images)
    SideBySide(2)(encode, TEXTS, texts)
    own = threading.current_thread()
    assert [thread is own for thread in threads] == [True, True, False]


@pytest.mark.parametrize(
    ("call_s", "image_s", "largest"),
    [
        (0.0, 0.010, IMAGES),  # nothing is lost between layers
        (0.010, 0.001, MOST),  # nearly all is, up to 64 images
        (0.002, 0.001, 16),  # 32 would save 5.6 % of an image's time
        (10.0, 1.0, IMAGES),  # too slow to try more of
    ],
)
def test_the_share_grows_while_that_pays(call_s: float, image_s: float, largest: int) -> None:
    now = 0.0

    def encode(items: NDArray[Any]) -> NDArray[np.float32]:
        nonlocal now
        now += call_s + image_s * len(items)
        return np.zeros((len(items), 1), dtype=np.float32)

    assert SideBySide(2).find_largest(encode, np.zeros((2, 2, 3)), lambda: now) == largest


def test_what_is_wrong_with_one_share_is_told() -> None:
    def encode(items: NDArray[Any]) -> NDArray[np.float32]:
        if 5 in items:
            raise ValueError("five")
        return np.zeros((len(items), 1), dtype=np.float32)

    with pytest.raises(ValueError, match="five"):
        SideBySide(2)(encode, 2, np.arange(8))
