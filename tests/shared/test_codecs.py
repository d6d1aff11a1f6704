"""Vectors survive the wire."""

import base64
import struct

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared.codecs import (
    decode_base64,
    decode_octets,
    decode_vector,
    encode_base64,
    encode_octets,
)

VECTORS = arrays.arrays(np.float32, st.integers(1, 64), elements=st.floats(-1, 1, width=32))


@given(VECTORS)
def test_float32_comes_back_bit_for_bit(vector):
    assert np.array_equal(decode_base64(encode_base64(vector)), vector)


@given(VECTORS)
def test_float16_comes_back_to_half_precision(vector):
    decoded = decode_base64(encode_base64(vector, "float16"), "float16")
    assert decoded.dtype == np.float32
    assert np.allclose(decoded, vector, atol=1e-3)


def test_the_wire_is_little_endian():
    data = base64.b64decode(encode_base64(np.array([1.5, -2.0], dtype=np.float32)))
    assert struct.unpack("<2f", data) == (1.5, -2.0)


@given(VECTORS)
def test_both_wire_forms_mean_the_same(vector):
    assert np.array_equal(
        decode_vector([float(x) for x in vector]), decode_vector(encode_base64(vector))
    )


@pytest.mark.parametrize("text", ["", "????", "AAA", base64.b64encode(b"12345").decode()])
def test_half_a_vector_is_refused(text):
    with pytest.raises(ValueError, match=r"base64|not a vector"):
        decode_base64(text)


ANY = arrays.arrays(np.float32, st.integers(1, 64), elements=st.floats(width=32))


@given(ANY)
def test_bfloat16_is_rounded_as_torch_rounds_it(vector):
    expected = torch.from_numpy(vector).to(torch.bfloat16).float().numpy()
    found = decode_octets(encode_octets(vector, "bfloat16"), "bfloat16")
    assert np.array_equal(found, expected, equal_nan=True)


@given(ANY, st.sampled_from(["float32", "bfloat16"]), st.sampled_from(["little", "big"]))
def test_octets_come_back_in_either_order(vector, dtype, order):
    once = decode_octets(encode_octets(vector, dtype, order), dtype, order)
    again = decode_octets(encode_octets(once, dtype, order), dtype, order)
    assert np.array_equal(once, again, equal_nan=True)
    if dtype == "float32":
        assert np.array_equal(once, vector, equal_nan=True)
