"""Answers without JSON: a row of numbers for each item, what else there is to say in headers."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import orjson

from shared import headers
from shared.codecs import Vector, encode_octets
from shared.wire import ItemError
from vendor_api.embeddings.terms import Terms

__all__ = ["place_items", "write_octets"]


def write_octets(
    terms: Terms,
    model_name: str,
    dimension: int,
    vectors: Sequence[Vector | None],
    problems: Sequence[ItemError | None],
) -> tuple[bytes, dict[str, str]]:
    """The octets of float[n, d], a row of NaN where there is no vector, and the headers about them."""
    nothing = np.full(dimension, np.nan, dtype=np.float32)
    rows = np.stack([nothing if vector is None else vector for vector in vectors])
    named = {
        headers.COUNT: str(len(rows)),
        headers.DIMENSION: str(dimension),
        headers.DTYPE: terms.embed_dtype,
        headers.MODEL: model_name,
    }
    failed = {str(index): problem.code for index, problem in enumerate(problems) if problem}
    if failed:
        named[headers.ERRORS] = orjson.dumps(failed).decode()
    return encode_octets(rows, terms.embed_dtype, terms.endianness), named


def place_items(terms: Terms, size: int, count: int, dimension: int) -> list[dict[str, Any]]:
    """Where each item's numbers lie in `size` octets, as vLLM's metadata says it."""
    step = size // count
    return [
        {
            "index": index,
            "embed_dtype": terms.embed_dtype,
            "endianness": terms.endianness,
            "start": index * step,
            "end": (index + 1) * step,
            "shape": [dimension],
        }
        for index in range(count)
    ]
