"""Vectors survive the wire."""

import base64
import struct

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from shared.codecs import decode_base64, decode_vector, encode_base64

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
