"""`/v1/embed/image` and `/v1/embed/text`: the same sale as `/v1/embeddings`, in octets."""

import json
from typing import Any

import numpy as np
import pytest

from shared import headers
from shared.codecs import decode_octets, decode_vector
from shared.frames import FRAMES, TENSOR, pack_frames
from tests.vendor_api.conftest import SIDE, make_vector

IMAGE, TEXT = "/v1/embed/image", "/v1/embed/text"


async def post(vendor: Any, path: str, body: bytes, kind: str, **given: Any) -> Any:
    extra = {name.replace("_", "-"): value for name, value in given.pop("headers", {}).items()}
    params = {"model": "icon-clip", **given}
    return await vendor.http.post(
        path, content=body, params=params, headers={"content-type": kind, **extra}
    )


def rows(answer: Any, dtype: Any = "float32") -> Any:
    assert answer.status_code == 200, answer.text
    return decode_octets(answer.content, dtype).reshape(-1, 4)


async def test_one_image_body_is_the_json_item(vendor: Any, picture: Any, image_item: Any) -> None:
    (row,) = rows(await post(vendor, IMAGE, picture(7), "image/png"))
    told = await vendor.embed(image_item(7))
    assert np.array_equal(row, decode_vector(told.json()["data"][0]["embedding"]))
    assert told.json()["cost_usd"] == "0.000000000"  # the file was bought through the other door


async def test_framed_images_keep_their_order_and_a_bad_one_its_place(
    vendor: Any, picture: Any
) -> None:
    body = pack_frames([picture(1), picture(2)[:-30], b"nothing", picture(3)])
    answer = await post(vendor, IMAGE, body, FRAMES)
    found = rows(answer)
    alone = [rows(await post(vendor, IMAGE, picture(n), "image/png"))[0] for n in (1, 3)]
    assert np.array_equal(found[[0, 3]], np.stack(alone))
    assert np.isnan(found[[1, 2]]).all()
    assert json.loads(answer.headers[headers.ERRORS]) == {
        "1": "invalid_image",
        "2": "invalid_image",
    }
    assert answer.headers[headers.COST_USD] == "0.000200000"


async def test_a_refused_item_is_explained_as_in_json(
    vendor: Any, picture: Any, image_item: Any
) -> None:
    body = pack_frames([picture(1), b"nothing", b"nothing more"])
    answer = await post(vendor, IMAGE, body, FRAMES)
    said = json.loads(answer.headers[headers.ERROR_MESSAGES])
    assert said == {"the image is neither JPEG, PNG nor WebP": [1, 2]}


async def test_a_head_stays_short_however_many_items_are_refused(vendor: Any, picture: Any) -> None:
    bad = [b"no picture %d" % number for number in range(63)]
    answer = await post(vendor, IMAGE, pack_frames([picture(1), *bad]), FRAMES)
    assert len(json.loads(answer.headers[headers.ERRORS])) == 63
    assert len(answer.headers[headers.ERROR_MESSAGES]) <= headers.MAX_ERROR_MESSAGES
    assert sum(len(name) + len(value) + 4 for name, value in answer.headers.items()) < 4096


async def test_texts_come_one_or_framed(vendor: Any) -> None:
    one = rows(await post(vendor, TEXT, "a dög".encode(), "text/plain; charset=utf-8"))
    both = rows(await post(vendor, TEXT, pack_frames([b"a cat", "a dög".encode()]), FRAMES))
    assert np.array_equal(both[1], one[0])


async def test_a_tensor_is_what_the_model_sees(vendor: Any) -> None:
    pixels = np.random.default_rng(0).integers(0, 255, (3, SIDE, SIDE, 3), dtype=np.uint8)
    named = {headers.SHAPE: f"3, {SIDE},{SIDE},3", headers.DTYPE: "uint8"}
    answer = await post(vendor, IMAGE, pixels.tobytes(), TENSOR, headers=named)
    assert np.array_equal(rows(answer), np.stack([make_vector(picture) for picture in pixels]))
    again = await post(vendor, IMAGE, pixels.tobytes(), TENSOR, headers=named)
    assert again.headers[headers.COST_USD] == "0.000000000"
    assert answer.headers[headers.COST_USD] == "0.000300000"


@pytest.mark.parametrize(
    ("path", "body", "kind", "extra", "says"),
    [
        (IMAGE, b"x", "text/plain", {}, "image/jpeg"),
        (IMAGE, b"", "image/png", {}, "empty"),
        (IMAGE, b"\x05\x00\x00\x00ab", FRAMES, {}, "frame 0 says 5 bytes"),
        (IMAGE, b"\x05\x00", FRAMES, {}, "inside the length of frame 0"),
        (IMAGE, bytes(192), TENSOR, {}, "N,8,8,3"),
        (IMAGE, bytes(192), TENSOR, {"x-shape": "1,8,8,3"}, "uint8"),
        (IMAGE, bytes(191), TENSOR, {"x-shape": "1,8,8,3", "x-dtype": "uint8"}, "191"),
        (IMAGE, bytes(192), TENSOR, {"x-shape": "1,16,16,3", "x-dtype": "uint8"}, "N,8,8,3"),
        (TEXT, b"\xff", "text/plain", {}, "not UTF-8"),
        (TEXT, b"  ", "text/plain", {}, "empty text"),
        (TEXT, pack_frames([b"a"] * 257), FRAMES, {}, "at most 256"),
    ],
)
async def test_a_body_that_cannot_be_is_400_and_free(
    vendor: Any, path: str, body: bytes, kind: str, extra: Any, says: str
) -> None:
    answer = await post(vendor, path, body, kind, headers=extra)
    assert answer.status_code == 400, answer.text
    assert says in answer.json()["detail"]
    assert await vendor.available() == "1.000000000"


@pytest.mark.parametrize(
    ("query", "says"),
    [
        ({"model": ""}, "Name the model"),
        ({"dtype": "int8"}, "dtype"),
        ({"atomic": "maybe"}, "true or false"),
        ({"colour": "red"}, "colour"),
        ({"atomic": "true", "partial_ok": "true"}, "all or nothing"),
    ],
)
async def test_a_query_that_cannot_be_is_400(vendor: Any, query: Any, says: str) -> None:
    answer = await post(vendor, TEXT, b"a", "text/plain", **query)
    assert answer.status_code == 400
    assert says in answer.json()["detail"]


async def test_the_door_is_the_same(vendor: Any, anonymous: Any) -> None:
    async with anonymous() as http:
        refused = await http.post(TEXT, params={"model": "icon-clip"}, content=b"a")
    assert refused.status_code == 401
    assert refused.headers["content-type"] == "application/problem+json"
    assert (await post(vendor, TEXT, b"a", "text/plain", model="other")).status_code == 404
    assert (await vendor.http.get(TEXT)).status_code == 405


async def test_a_key_makes_two_tries_one_purchase(vendor: Any) -> None:
    named = {headers.IDEMPOTENCY_KEY: "k1"}
    first = await post(vendor, TEXT, b"a dog", "text/plain", headers=named)
    again = await post(vendor, TEXT, b"a dog", "text/plain", headers=named)
    other = await post(vendor, TEXT, b"a cat", "text/plain", headers=named)
    assert first.content == again.content
    assert again.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
    assert other.json()["code"] == "idempotency_key_reused"


async def test_metrics_know_the_route_by_its_path(vendor: Any) -> None:
    await post(vendor, TEXT, b"a", "text/plain")
    assert f'route="{TEXT}"' in (await vendor.http.get("/metrics")).text


async def test_an_answer_says_where_its_time_went(vendor: Any, picture: Any) -> None:
    answer = await post(vendor, IMAGE, picture(7), "image/png")
    spans = [part.split(";dur=") for part in answer.headers[headers.SERVER_TIMING].split(", ")]
    assert [name for name, _ in spans] == [
        "auth",
        "reserve",
        "decode",
        "queue",
        "model",
        "capture",
        "encode",
    ]
    assert all(0 <= float(took) < 30_000 for _, took in spans)
