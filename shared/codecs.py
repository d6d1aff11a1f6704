"""Vectors to wire and back: JSON floats or base64 of little-endian float32 or float16."""

import base64
import binascii
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

EmbedDtype = Literal["float32", "float16"]
Vector = NDArray[np.float32]

_WIRE: dict[str, np.dtype[Any]] = {"float32": np.dtype("<f4"), "float16": np.dtype("<f2")}

__all__ = ["EmbedDtype", "Vector", "decode_base64", "decode_vector", "encode_base64"]


def encode_base64(vector: Vector, dtype: EmbedDtype = "float32") -> str:
    """Base64 text of a float32[d] vector as little-endian `dtype`."""
    return base64.b64encode(vector.astype(_WIRE[dtype]).tobytes()).decode("ascii")


def decode_base64(text: str, dtype: EmbedDtype = "float32") -> Vector:
    """float32[d] from `encode_base64`'s text. Raises ValueError when it is not a whole vector."""
    try:
        data = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise ValueError(f"the embedding is not base64: {error}") from error
    wire = _WIRE[dtype]
    if not data or len(data) % wire.itemsize:
        raise ValueError(f"{len(data)} bytes are not a vector of {dtype}")
    return np.frombuffer(data, dtype=wire).astype(np.float32)


def decode_vector(embedding: "str | list[float]", dtype: EmbedDtype = "float32") -> Vector:
    """float32[d] from either wire form of an embedding. Raises ValueError for neither."""
    if isinstance(embedding, str):
        return decode_base64(embedding, dtype)
    return np.asarray(embedding, dtype=np.float32)
