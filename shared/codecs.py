"""Vectors to wire and back: JSON floats, base64, or octets of float32, float16 or bfloat16."""

import base64
import binascii
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EmbedDtype = Literal["float32", "float16", "bfloat16"]
Endianness = Literal["little", "big", "native"]
"""`native` is the vendor's own, which is little: named for clients of vLLM."""
Vector = NDArray[np.float32]

_WIRE: dict[str, np.dtype[Any]] = {
    "float32": np.dtype("<f4"),
    "float16": np.dtype("<f2"),
    "bfloat16": np.dtype("<u2"),
}

__all__ = [
    "EmbedDtype",
    "Endianness",
    "Vector",
    "decode_base64",
    "decode_octets",
    "decode_vector",
    "encode_base64",
    "encode_octets",
]


def encode_octets(
    vector: Vector, dtype: EmbedDtype = "float32", endianness: Endianness = "little"
) -> bytes:
    """The octets of float32 numbers, row by row, each as `dtype` in that order of bytes.

    bfloat16 is rounded to nearest, ties to even, as torch rounds it; NaN stays NaN.
    """
    wire = _WIRE[dtype]
    numbers = _round_bfloat16(vector) if dtype == "bfloat16" else vector.astype(wire)
    ordered = numbers.astype(wire.newbyteorder(">")) if endianness == "big" else numbers
    return ordered.tobytes()


def decode_octets(
    data: bytes, dtype: EmbedDtype = "float32", endianness: Endianness = "little"
) -> Vector:
    """float32[n] from `encode_octets`. Raises ValueError when it is no whole number of them."""
    wire = _WIRE[dtype]
    if not data or len(data) % wire.itemsize:
        raise ValueError(f"{len(data)} bytes are not a vector of {dtype}")
    numbers = np.frombuffer(data, dtype=wire.newbyteorder(">" if endianness == "big" else "<"))
    if dtype == "bfloat16":
        return (numbers.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return numbers.astype(np.float32)


def encode_base64(
    vector: Vector, dtype: EmbedDtype = "float32", endianness: Endianness = "little"
) -> str:
    """Base64 text of `encode_octets`."""
    return base64.b64encode(encode_octets(vector, dtype, endianness)).decode("ascii")


def decode_base64(text: str, dtype: EmbedDtype = "float32") -> Vector:
    """float32[d] from `encode_base64`'s text. Raises ValueError when it is not a whole vector."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the embedding is not base64: {error}") from error
    return decode_octets(data, dtype)


def decode_vector(embedding: "str | list[float]", dtype: EmbedDtype = "float32") -> Vector:
    """float32[d] from either JSON form of an embedding. Raises ValueError for neither."""
    if isinstance(embedding, str):
        return decode_base64(embedding, dtype)
    return np.asarray(embedding, dtype=np.float32)


def _round_bfloat16(vector: Vector) -> NDArray[np.uint16]:
    bits = np.ascontiguousarray(vector, dtype=np.float32).view(np.uint32)
    odd = (bits >> np.uint32(16)) & np.uint32(1)
    rounded = ((bits + np.uint32(0x7FFF) + odd) >> np.uint32(16)).astype(np.uint16)
    # Rounding could carry a NaN into infinity.
    return np.where(np.isnan(vector), np.uint16(0x7FC0), rounded).astype(np.uint16)
