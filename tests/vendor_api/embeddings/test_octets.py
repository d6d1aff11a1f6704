"""Vectors as octets: `bytes`, `bytes_only`, and what base64 and JSON weigh beside them."""

import json
from typing import Any

import numpy as np

from shared import headers
from shared.codecs import EmbedDtype, decode_octets, decode_vector


async def test_octets_are_the_vectors_of_the_json_answer(vendor: Any, image_item: Any) -> None:
    items = ("a dog", image_item(1), "a cat")
    told = (await vendor.embed(*items)).json()["data"]
    expected = np.stack([decode_vector(row["embedding"]) for row in told])
    sizes: dict[EmbedDtype, int] = {"float32": 4, "float16": 2, "bfloat16": 2}
    for dtype, size in sizes.items():
        answer = await vendor.embed(*items, encoding_format="bytes_only", embed_dtype=dtype)
        assert answer.headers["content-type"] == "application/octet-stream"
        assert len(answer.content) == 3 * 4 * size
        rows = decode_octets(answer.content, dtype).reshape(3, 4)
        assert np.allclose(rows, expected, atol=2e-2 if dtype == "bfloat16" else 1e-3)
        assert answer.headers[headers.COUNT] == "3"
        assert answer.headers[headers.DIMENSION] == "4"
        assert answer.headers[headers.DTYPE] == dtype
        assert answer.headers[headers.MODEL] == "icon-clip@0123456789abcdef"
        assert headers.METADATA not in answer.headers
        assert answer.headers[headers.COST_USD] == "0.000000000"  # bought above


async def test_the_metadata_of_bytes_places_each_item(vendor: Any) -> None:
    answer = await vendor.embed("a", "b", encoding_format="bytes", embed_dtype="float16")
    metadata = json.loads(answer.headers[headers.METADATA])
    assert metadata["id"] == answer.headers[headers.CHARGE_ID]
    assert metadata["usage"]["prompt_tokens"] == 2
    told = (await vendor.embed("a", "b")).json()["data"]
    for row, expected in zip(metadata["data"], told, strict=True):
        octets = answer.content[row["start"] : row["end"]]
        assert np.allclose(decode_octets(octets, "float16"), expected["embedding"], atol=1e-3)
        assert row["shape"] == [4]


async def test_big_endian_octets_are_the_same_numbers(vendor: Any) -> None:
    little = await vendor.embed("a", encoding_format="bytes_only")
    big = await vendor.embed("a", encoding_format="bytes_only", endianness="big")
    assert big.content != little.content
    assert np.array_equal(
        decode_octets(big.content, endianness="big"), decode_octets(little.content)
    )


async def test_an_item_without_a_vector_is_a_row_of_nan_and_free(
    vendor: Any, image_item: Any
) -> None:
    broken = image_item(data=b"no image")
    answer = await vendor.embed("a", broken, "b", encoding_format="bytes_only")
    rows = decode_octets(answer.content).reshape(3, 4)
    assert np.isnan(rows).all(axis=1).tolist() == [False, True, False]
    assert json.loads(answer.headers[headers.ERRORS]) == {"1": "invalid_image"}
    assert answer.headers[headers.COST_USD] == "0.000020000"


async def test_bytes_of_many_items_are_refused_before_anything_is_charged(vendor: Any) -> None:
    texts = [f"text {number}" for number in range(65)]
    answer = await vendor.embed(*texts, encoding_format="bytes")
    assert answer.status_code == 400
    assert "bytes_only" in answer.json()["detail"]
    assert await vendor.available() == "1.000000000"


async def test_json_adds_at_most_400_bytes_and_80_an_item(vendor: Any) -> None:
    texts = [f"text {number}" for number in range(256)]
    for count in (1, 64, 256):
        answer = await vendor.embed(*texts[:count], encoding_format="base64", embed_dtype="float32")
        vectors = sum(len(row["embedding"]) for row in answer.json()["data"])
        assert len(answer.content) - vectors <= 400 + 80 * count
