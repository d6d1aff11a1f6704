"""Sizes of batches: every number of items has one, and wastes less than half of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendor_api.engine.buckets import list_lengths, list_sizes, pick_size


def test_sizes_are_powers_of_two_and_the_largest() -> None:
    assert list_sizes(256) == (1, 2, 4, 8, 16, 32, 64, 128, 256)
    assert list_sizes(1) == (1,)
    assert list_sizes(48) == (1, 2, 4, 8, 16, 32, 48)


def test_texts_that_cannot_be_cut_have_one_length() -> None:
    assert list_lengths(77, cut=True) == (8, 16, 32, 64, 77)
    assert list_lengths(77, cut=False) == (77,)
    assert list_lengths(6, cut=True) == (6,)


@given(largest=st.integers(1, 1024), data=st.data())
def test_every_number_has_the_least_size_that_holds_it(largest: int, data: st.DataObject) -> None:
    sizes = list_sizes(largest)
    assert list(sizes) == sorted(set(sizes))
    assert sizes[-1] == largest
    count = data.draw(st.integers(1, largest))
    size = pick_size(sizes, count)
    assert count <= size < 2 * count or size == 1
    with pytest.raises(ValueError, match="more than"):
        pick_size(sizes, largest + 1)
