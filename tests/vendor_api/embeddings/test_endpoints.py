"""`POST /v1/embeddings` through its front door."""

import asyncio
import base64
import json
from collections.abc import Callable
from typing import Any

import numpy as np

from shared import headers
from shared.codecs import decode_vector
from shared.wire import EmbeddingResponse
from vendor_api.auth.repository import issue_key
from vendor_api.db import read_clock
from vendor_api.ledger import Ledger
from vendor_api.ledger.accounts import create_account

LANGCHAIN = "check_embedding_ctx_length=False"


def vectors(answer: Any) -> list[Any]:
    assert answer.status_code == 200, answer.text
    return [row["embedding"] for row in answer.json()["data"]]


async def test_anonymous(vendor: Any, anonymous: Any) -> None:
    async with anonymous() as http:
        answer = await http.post("/v1/embeddings", json={"model": "icon-clip", "input": "a dog"})
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_a_text_comes_back_in_openais_shape(vendor: Any) -> None:
    answer = await vendor.http.post("/v1/embeddings", json={"model": "icon-clip", "input": "a dog"})
    document = EmbeddingResponse.model_validate(answer.json())
    assert document.model == "icon-clip@0123456789abcdef"
    assert document.usage.prompt_tokens == document.usage.total_tokens == 2
    assert document.cost_usd == answer.headers[headers.COST_USD] == "0.000010000"
    assert document.charge_id == answer.headers[headers.CHARGE_ID]
    assert answer.headers[headers.BALANCE_USD] == "0.999990000"
    assert answer.headers[headers.REQUEST_ID].startswith("req_")
    assert abs(np.linalg.norm(decode_vector(document.data[0].embedding or "")) - 1) < 1e-6


async def test_texts_and_images_mix_and_keep_their_order(vendor: Any, image_item: Any) -> None:
    items = ["a dog", image_item(1), {"text": "a cat"}, image_item(2)]
    mixed = vectors(await vendor.embed(*items))
    alone = [vectors(await vendor.embed(item))[0] for item in items]
    assert mixed == alone


async def test_base64_and_floats_are_the_same_vector(vendor: Any) -> None:
    (floats,) = vectors(await vendor.embed("a dog"))
    (text,) = vectors(await vendor.embed("a dog", encoding_format="base64"))
    (half,) = vectors(await vendor.embed("a dog", encoding_format="base64", embed_dtype="float16"))
    assert np.array_equal(decode_vector(floats), decode_vector(text))
    assert len(base64.b64decode(half)) == 8
    assert np.allclose(decode_vector(half, "float16"), decode_vector(text), atol=1e-3)


async def test_a_repeated_item_is_paid_once_and_answered_everywhere(
    vendor: Any, image_item: Any
) -> None:
    answer = await vendor.embed(image_item(1), image_item(1), "a", image_item(1))
    rows = answer.json()["data"]
    assert [row["cost_usd"] for row in rows] == [
        "0.000100000",
        "0.000000000",
        "0.000010000",
        "0.000000000",
    ]
    assert rows[0]["embedding"] == rows[1]["embedding"] == rows[3]["embedding"]
    assert answer.json()["cost_usd"] == "0.000110000"
    assert answer.json()["usage"]["images"] == 3


async def test_an_item_bought_before_is_free(vendor: Any, image_item: Any) -> None:
    await vendor.embed(image_item(1))
    answer = await vendor.embed(image_item(1), image_item(2))
    assert [row["cost_usd"] for row in answer.json()["data"]] == ["0.000000000", "0.000100000"]
    assert await vendor.available() == "0.999800000"


async def test_line_breaks_and_data_uris_are_the_same_image(
    vendor: Any, picture: Callable[..., bytes]
) -> None:
    encoded = base64.b64encode(picture(1)).decode()
    broken = "\n".join(encoded[i : i + 20] for i in range(0, len(encoded), 20))
    answer = await vendor.embed(
        {"image": encoded}, {"image": broken}, {"image": f"data:image/png;base64,{encoded}"}
    )
    assert answer.json()["cost_usd"] == "0.000100000"


async def test_each_format_is_accepted(vendor: Any, picture: Any, image_item: Any) -> None:
    items = [image_item(data=picture(7, kind)) for kind in ("JPEG", "PNG", "WEBP")]
    assert None not in vectors(await vendor.embed(*items))


async def test_a_long_text_is_cut_and_says_so(vendor: Any) -> None:
    answer = await vendor.embed("a b c d e f g h", "a b")
    assert [row.get("truncated", False) for row in answer.json()["data"]] == [True, False]


async def test_a_model_may_be_named_with_its_revision(vendor: Any) -> None:
    answer = await vendor.embed("a", model="icon-clip@0123456789abcdef")
    assert answer.status_code == 200


async def test_revision_changed(vendor: Any) -> None:
    answer = await vendor.embed("a", model="icon-clip@fedcba9876543210")
    assert answer.status_code == 409
    assert answer.json()["code"] == "revision_changed"
    assert answer.headers[headers.SHOULD_RETRY] == "false"


async def test_unknown_model(vendor: Any) -> None:
    answer = await vendor.embed("a", model="icon-klip")
    assert answer.status_code == 404
    assert answer.json()["error"]["code"] == "model_not_found"
    assert "icon-clip" in answer.json()["detail"]


NONSENSE: list[tuple[dict[str, Any], str]] = [
    ({"input": []}, "empty"),
    ({"input": ""}, "empty"),
    ({"input": ["a", "  "]}, "Item 1 is an empty text"),
    ({"input": None}, "missing"),
    ({"input": {"text": "a"}}, "must be a text, or a list"),
    ({"input": [1, 2]}, LANGCHAIN),
    ({"input": [[1, 2], [3]]}, LANGCHAIN),
    ({"input": [{"text": "a", "image": "b"}]}, "Item 0 is neither"),
    ({"input": [{"url": "a"}]}, "Item 0 is neither"),
    ({"input": [{"image": 3}]}, "Item 0"),
    ({"input": [None]}, "Item 0 is neither"),
    ({"input": [{"image": "https://example.org/dog.png"}]}, "is an address"),
    ({"input": ["a"] * 257}, "at most 256"),
    ({"input": "a" * 100_001}, "more than 100000 characters"),
    ({"input": "\ud800"}, "surrogate"),
    ({"dimensions": 3}, "has 4 dimensions"),
    ({"encoding_format": "int8"}, "encoding_format"),
    ({"embed_dtype": "float64"}, "embed_dtype"),
    ({"model": None}, "model"),
]


async def test_a_request_that_makes_no_sense_is_400_and_says_why(vendor: Any) -> None:
    for change, says in NONSENSE:
        body = json.dumps({"model": "icon-clip", "input": "a", **change})
        answer = await vendor.http.post("/v1/embeddings", content=body)
        assert answer.status_code == 400, (change, answer.text)
        assert says in answer.json()["detail"], change
        assert answer.json()["error"]["message"] == answer.json()["detail"]
    assert await vendor.available() == "1.000000000"


async def test_a_body_that_is_no_json_object_is_400(vendor: Any) -> None:
    for body in (b"", b"{", b"[]", b'"text"', b"\xff"):
        answer = await vendor.http.post("/v1/embeddings", content=body)
        assert answer.status_code == 400, body


async def test_the_models_own_dimensions_are_accepted(vendor: Any) -> None:
    assert (await vendor.embed("a", dimensions=4, user="someone")).status_code == 200


async def test_no_credit(vendor: Any, database: Any, pepper: bytes) -> None:
    with database.write() as connection:
        now = read_clock(connection)
        poor = create_account(connection, now, "poor")
        key = issue_key(connection, now, pepper, poor.id, name="poor")
    answer = await vendor.embed("a dog", headers={"authorization": f"Bearer {key.text}"})
    assert answer.status_code == 402
    assert answer.json()["code"] == "insufficient_credit"
    assert "costs $0.00001 and $0.00 is available" in answer.json()["detail"]
    assert answer.headers[headers.SHOULD_RETRY] == "false"
    assert vendor.model.batches == []


async def test_one_bad_of_eight_leaves_the_others_bit_identical(
    vendor: Any, image_item: Any, picture: Any
) -> None:
    good = [image_item(n) for n in range(7)]
    clean = vectors(await vendor.embed(*good))
    broken = image_item(data=picture(90, "JPEG", (64, 64))[:-40])
    answer = await vendor.embed(*good[:3], broken, *good[3:])
    rows = answer.json()["data"]
    assert [row["embedding"] for row in rows if row["index"] != 3] == clean
    assert rows[3]["embedding"] is None
    assert rows[3]["cost_usd"] == "0.000000000"
    assert rows[3]["error"]["code"] == "invalid_image"


async def test_an_item_the_model_chokes_on_costs_nothing(vendor: Any, image_item: Any) -> None:
    answer = await vendor.embed(image_item(255), image_item(1))
    rows = answer.json()["data"]
    assert rows[0]["error"]["code"] == "internal"
    assert [row["cost_usd"] for row in rows] == ["0.000000000", "0.000100000"]
    assert await vendor.available() == "0.999900000"


async def test_all_items_invalid_is_422_with_each_reason(
    vendor: Any, image_item: Any, picture: Any
) -> None:
    truncated = image_item(data=picture(90, "JPEG", (64, 64))[:-40])
    answer = await vendor.embed(image_item(data=b"GIF89a"), truncated, truncated)
    assert answer.status_code == 422
    problem = answer.json()
    assert problem["code"] == "no_valid_item"
    assert [item["index"] for item in problem["errors"]] == [0, 1, 2]
    assert "neither JPEG" in problem["errors"][0]["message"]
    assert await vendor.available() == "1.000000000"
    assert await vendor.held() == "0.000000000"


async def test_the_failure_that_kills_others(vendor: Any, image_item: Any, picture: Any) -> None:
    """Good image, truncated JPEG, good image, text, health: each answered on its own merits."""
    bad = image_item(data=picture(90, "JPEG", (64, 64))[:200])
    statuses = [
        (await vendor.embed(image_item(1))).status_code,
        (await vendor.embed(bad)).status_code,
        (await vendor.embed(image_item(2))).status_code,
        (await vendor.embed("a dog")).status_code,
        (await vendor.http.get("/readyz")).status_code,
    ]
    assert statuses == [200, 422, 200, 200, 200]


async def test_a_model_without_a_price_is_not_served(vendor: Any, database: Any) -> None:
    from sqlalchemy import delete

    from vendor_api.db.tables import price_version

    with database.write() as connection:
        connection.execute(delete(price_version).where(price_version.c.modality == "text"))
    assert (await vendor.embed("a dog")).status_code == 404
    assert (await vendor.http.get("/v1/models")).json()["data"] == []


async def test_many_callers_at_once_each_get_their_own(vendor: Any, image_item: Any) -> None:
    alone = [vectors(await vendor.embed(image_item(n)))[0] for n in range(12)]
    answers = await asyncio.gather(*(vendor.embed(image_item(n)) for n in range(12)))
    assert [vectors(answer)[0] for answer in answers] == alone


async def test_the_books_agree_with_the_answers(
    vendor: Any, image_item: Any, vendor_database_url: str
) -> None:
    costs = [
        (await vendor.embed(image_item(1), "a", "b")).json()["cost_usd"],
        (await vendor.embed(image_item(1), "c")).json()["cost_usd"],
    ]
    usage = (await vendor.http.get("/v1/usage")).json()
    assert costs == ["0.000120000", "0.000010000"]
    assert usage["total_cost_usd"] == "0.000130000"
    ledger = Ledger.open(vendor_database_url)
    audit = await ledger.verify()
    await ledger.close()
    assert not audit.violations


async def test_infinitys_way_of_sending_images(vendor: Any, image_item: Any) -> None:
    """`modality` says what the strings are."""
    data = image_item(1)["image"]
    strings = await vendor.embed(data, f"data:image/png;base64,{data}", modality="image")
    (ours,) = vectors(await vendor.embed(image_item(1)))
    assert vectors(strings) == [ours, ours]
    assert strings.json()["usage"]["images"] == 2
