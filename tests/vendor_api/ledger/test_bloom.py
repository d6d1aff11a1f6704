"""What was added is never sifted out, and hardly anything else stays."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vendor_api.ledger.bloom import BloomFilter

# Few enough halves that marks fall into one octet, and even on one bit.
HALVES = st.integers(0, 40) | st.integers(0, 2**32 - 1)
KEYS = st.lists(st.builds(lambda low, high: low + 2**32 * high, HALVES, HALVES), max_size=50)


def keys(numbers):
    return np.array(numbers, np.uint64)


@given(st.lists(KEYS, max_size=5), KEYS)
def test_what_was_added_stays_in_its_order(added, strangers):
    bloom = BloomFilter(10)
    for each in added:
        bloom.add(keys(each))
    asked = [*strangers, *(key for each in added for key in each)]
    known = {key for each in added for key in each}
    sifted = bloom.sift(keys(asked)).tolist()
    assert [key for key in sifted if key in known] == [key for key in asked if key in known]


@pytest.mark.parametrize("wanted", [0, 1, 4_096, 4_097, 100_000])
def test_a_full_filter_lets_one_stranger_in_seventy_pass(wanted):
    bloom, random = BloomFilter(wanted), np.random.default_rng(0)
    assert bloom.capacity >= wanted
    bloom.add(random.integers(0, 2**64, bloom.capacity, np.uint64))
    strangers = random.integers(0, 2**64, 100_000, np.uint64)
    assert len(bloom.sift(strangers)) < len(strangers) / 65


def test_a_new_filter_lets_nothing_pass():
    assert not len(BloomFilter(0).sift(keys([0, 1, 2**64 - 1])))
