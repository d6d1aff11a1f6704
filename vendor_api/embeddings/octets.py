"""Answers without JSON: a row of numbers for each item, what else there is to say in headers."""

import json
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
    rows = np.stack([_write_nothing(dimension) if row is None else row for row in vectors])
    named = {
        headers.COUNT: str(len(rows)),
        headers.DIMENSION: str(dimension),
        headers.DTYPE: terms.embed_dtype,
        headers.MODEL: model_name,
    }
    failed = {str(index): problem.code for index, problem in enumerate(problems) if problem}
    if failed:
        named[headers.ERRORS] = orjson.dumps(failed).decode()
        named[headers.ERROR_MESSAGES] = _write_messages(problems)
    return encode_octets(rows, terms.embed_dtype, terms.endianness), named


def _write_nothing(dimension: int) -> Vector:
    return np.full(dimension, np.nan, dtype=np.float32)


def _write_messages(problems: Sequence[ItemError | None]) -> str:
    places: dict[str, list[int]] = {}
    for index, problem in enumerate(problems):
        if problem is not None:
            places.setdefault(problem.message, []).append(index)
    said, room = [], headers.MAX_ERROR_MESSAGES - len("{}")
    for message, indexes in places.items():
        # In ASCII: a header holds nothing else, and a decoder's words may be in any alphabet.
        pair = f"{json.dumps(message)}:{json.dumps(indexes, separators=(',', ':'))}"
        if len(pair) < room:
            said.append(pair)
            room -= len(pair) + len(",")
    return f"{{{','.join(said)}}}"


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
