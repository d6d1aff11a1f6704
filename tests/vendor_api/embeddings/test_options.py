"""All or nothing, or what there is: what a request may say about failing half-way."""

from typing import Any

from shared import headers
from vendor_api import failpoints


def keyed(key: str) -> dict[str, str]:
    return {headers.IDEMPOTENCY_KEY: key}


async def state_of(vendor: Any, key: str) -> str:
    answer = await vendor.http.get("/v1/charges", params={"idempotency_key": key})
    (charge,) = answer.json()["data"]
    return str(charge["state"])


async def test_an_atomic_request_without_a_fault_is_like_any_other(vendor: Any) -> None:
    answer = await vendor.embed("a dog", "a cat", atomic=True)
    assert answer.json()["cost_usd"] == "0.000020000"


async def test_one_unreadable_header_refuses_an_atomic_request_for_good(
    vendor: Any, image_item: Any
) -> None:
    items = (image_item(10), image_item(data=b"no image"))
    for _ in range(2):
        answer = await vendor.embed(*items, headers=keyed("k1"), atomic=True)
        assert answer.status_code == 422
        assert answer.json()["code"] == "items_refused"
        assert [problem["index"] for problem in answer.json()["errors"]] == [1]
        assert answer.headers[headers.SHOULD_RETRY] == "false"
    assert await state_of(vendor, "k1") == "released_final"
    assert await vendor.available() == "1.000000000"
    assert vendor.model.batches == []


async def test_one_picture_that_ends_early_refuses_an_atomic_request_for_good(
    vendor: Any, image_item: Any, picture: Any
) -> None:
    items = (image_item(10), image_item(data=picture(20)[:-30]))
    first = await vendor.embed(*items, headers=keyed("k1"), atomic=True)
    assert [problem["index"] for problem in first.json()["errors"]] == [1]
    again = await vendor.embed(*items, headers=keyed("k1"), atomic=True)
    assert [first.json()["code"], again.json()["code"]] == ["items_refused"] * 2
    assert [first.status_code, again.status_code] == [422, 422]
    assert await state_of(vendor, "k1") == "released_final"
    assert vendor.model.batches == []


async def test_an_item_the_model_chokes_on_refuses_an_atomic_request(
    vendor: Any, image_item: Any
) -> None:
    answer = await vendor.embed(image_item(10), image_item(255), atomic=True)
    assert answer.json()["code"] == "items_refused"
    assert await vendor.available() == "1.000000000"


async def test_an_atomic_request_is_another_request(vendor: Any) -> None:
    assert (await vendor.embed("a dog", headers=keyed("k1"))).status_code == 200
    for option in ("atomic", "partial_ok"):
        reused = await vendor.embed("a dog", headers=keyed("k1"), **{option: True})
        assert reused.json()["code"] == "idempotency_key_reused"


async def test_both_options_at_once_are_400(vendor: Any) -> None:
    answer = await vendor.embed("a dog", atomic=True, partial_ok=True)
    assert answer.status_code == 400
    assert answer.json()["error"]["param"] == "partial_ok"


async def test_a_key_is_spent_although_no_header_could_be_read(
    vendor: Any, image_item: Any
) -> None:
    broken = image_item(data=b"no image")
    answers = [await vendor.embed(broken, headers=keyed("k1")) for _ in range(2)]
    assert answers[0].json()["errors"] == answers[1].json()["errors"]
    assert await state_of(vendor, "k1") == "released_final"
    assert (await vendor.embed("a dog", headers=keyed("k1"))).json()["code"] == (
        "idempotency_key_reused"
    )


async def test_an_engine_that_fails_half_way_costs_nothing(vendor: Any, image_item: Any) -> None:
    items = [image_item(level) for level in range(10, 90, 10)]
    with failpoints.armed("mid_forward=error@2+"):  # batches of four: the second one fails
        answer = await vendor.embed(*items, headers=keyed("k1"))
    assert answer.status_code == 503
    assert answer.headers[headers.SHOULD_RETRY] == "true"
    assert await state_of(vendor, "k1") == "released"
    assert await vendor.available() == "1.000000000"
    again = await vendor.embed(*items, headers=keyed("k1"))
    assert again.json()["cost_usd"] == "0.000800000"


async def test_partial_ok_charges_what_was_computed_and_replays_no_more(
    vendor: Any, image_item: Any
) -> None:
    items = [image_item(level) for level in range(10, 90, 10)]
    with failpoints.armed("mid_forward=error@2+"):
        answer = await vendor.embed(*items, headers=keyed("k1"), partial_ok=True)
    assert answer.status_code == 200
    assert answer.json()["cost_usd"] == "0.000400000"
    done = [row["embedding"] is not None for row in answer.json()["data"]]
    assert done == [True] * 4 + [False] * 4
    assert {row["error"]["code"] for row in answer.json()["data"][4:]} == {"not_ready"}
    replay = await vendor.embed(*items, headers=keyed("k1"), partial_ok=True)
    assert replay.json()["cost_usd"] == "0.000000000"
    assert [row["embedding"] is not None for row in replay.json()["data"]] == done
    assert [row["embedding"] for row in replay.json()["data"]] == [
        row["embedding"] for row in answer.json()["data"]
    ]
    rest = await vendor.embed(*items, headers=keyed("k2"), partial_ok=True)
    assert rest.json()["cost_usd"] == "0.000400000"


async def test_partial_ok_with_nothing_computed_is_503(vendor: Any) -> None:
    with failpoints.armed("mid_forward=error"):
        answer = await vendor.embed("a dog", headers=keyed("k1"), partial_ok=True)
    assert answer.status_code == 503
    assert await state_of(vendor, "k1") == "released"


async def test_an_engine_that_dies_half_way_still_hands_over_what_it_had(
    vendor: Any, image_item: Any
) -> None:
    items = [image_item(level) for level in range(10, 90, 10)]

    def die_in_the_second_batch(pixels: Any) -> Any:
        if vendor.model.batches:
            raise SystemExit("the device is gone")
        return encode(pixels)

    encode = vendor.model.encode_images
    vendor.model.encode_images = die_in_the_second_batch
    answer = await vendor.embed(*items, headers=keyed("k1"), partial_ok=True)
    assert answer.json()["cost_usd"] == "0.000400000"
    assert "the device is gone" in answer.json()["data"][7]["error"]["message"]
