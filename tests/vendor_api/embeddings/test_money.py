"""What a request costs when it is repeated, dropped, or goes wrong."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from shared import headers
from vendor_api.ledger import Ledger


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(30):
        while not condition():  # noqa: ASYNC110  (threads set no event)
            await asyncio.sleep(0.005)


def keyed(key: str) -> dict[str, str]:
    return {headers.IDEMPOTENCY_KEY: key}


class Visitor:
    """One ASGI request whose client can hang up."""

    def __init__(self, vendor: Any, *items: Any, key: str = "visit") -> None:
        self.left = asyncio.Event()
        self.status: int | None = None
        body = json.dumps({"model": "icon-clip", "input": list(items)}).encode()
        scope = {
            "type": "http",
            "asgi": {"version": "3.0"},
            "http_version": "1.1",
            "method": "POST",
            "path": "/v1/embeddings",
            "raw_path": b"/v1/embeddings",
            "query_string": b"",
            "root_path": "",
            "scheme": "http",
            "server": ("vendor", 80),
            "client": ("visitor", 1),
            "headers": [
                (b"authorization", f"Bearer {vendor.key}".encode()),
                (headers.IDEMPOTENCY_KEY.encode(), key.encode()),
            ],
        }
        messages = iter([{"type": "http.request", "body": body, "more_body": False}])

        async def receive() -> Any:
            for message in messages:
                return message
            await self.left.wait()
            return {"type": "http.disconnect"}

        async def send(message: Any) -> None:
            self.status = message.get("status", self.status)

        self.task = asyncio.create_task(vendor.app(scope, receive, send))


async def charge_of(vendor: Any, key: str) -> Any:
    answer = await vendor.http.get("/v1/charges", params={"idempotency_key": key})
    (charge,) = answer.json()["data"]
    return charge


async def test_a_repeated_request_is_answered_again_and_costs_nothing(vendor: Any) -> None:
    first = await vendor.embed("a dog", headers=keyed("k1"))
    again = await vendor.embed("a dog", headers=keyed("k1"))
    quoted = await vendor.embed("a dog", headers=keyed('"k1"'))
    assert first.json()["cost_usd"] == "0.000010000"
    assert headers.IDEMPOTENCY_REPLAYED not in first.headers
    for replay in (again, quoted):
        assert replay.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
        assert replay.headers[headers.COST_USD] == replay.json()["cost_usd"] == "0.000000000"
        assert replay.json()["charge_id"] == first.json()["charge_id"]
        assert replay.json()["data"][0]["embedding"] == first.json()["data"][0]["embedding"]
    assert await vendor.available() == "0.999990000"


async def test_a_charge_is_replayed_three_times_a_day_at_most(vendor: Any) -> None:
    statuses = [(await vendor.embed("a", headers=keyed("k1"))).status_code for _ in range(5)]
    assert statuses == [200, 200, 200, 200, 429]


async def test_a_key_that_was_used_for_something_else_is_422(vendor: Any) -> None:
    await vendor.embed("a dog", headers=keyed("k1"))
    answer = await vendor.embed("a cat", headers=keyed("k1"))
    assert answer.status_code == 422
    assert answer.json()["code"] == "idempotency_key_reused"
    assert answer.headers[headers.SHOULD_RETRY] == "false"


async def test_the_same_request_written_otherwise_is_the_same_request(vendor: Any) -> None:
    document = {"model": "icon-clip", "input": ["a dog"]}
    bodies = [
        json.dumps(document),
        json.dumps({"input": [{"text": "a dog"}], "model": "icon-clip"}, indent=3),
    ]
    answers = [
        await vendor.http.post("/v1/embeddings", content=body, headers=keyed("k1"))
        for body in bodies
    ]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert headers.IDEMPOTENCY_REPLAYED in answers[1].headers


async def test_a_request_under_way_is_409_and_says_when_to_come_back(vendor: Any) -> None:
    vendor.model.gate.clear()
    first = asyncio.create_task(vendor.embed("a dog", headers=keyed("k1")))
    await wait_until(vendor.model.entered.is_set)
    second = await vendor.embed("a dog", headers=keyed("k1"))
    vendor.model.gate.set()
    assert second.status_code == 409
    assert second.headers[headers.SHOULD_RETRY] == "true"
    assert int(second.headers[headers.RETRY_AFTER]) >= 1
    assert (await first).status_code == 200


async def test_keys_that_are_too_long_or_invisible_are_400(vendor: Any) -> None:
    for key in ("", "a" * 256, "a b", "naïve".encode("latin-1"), '""'):
        answer = await vendor.embed("a", headers={headers.IDEMPOTENCY_KEY: key})
        assert answer.status_code == 400, key
    assert (await vendor.embed("a", headers=keyed("a" * 255))).status_code == 200


async def test_all_invalid_under_a_key_stays_invalid(
    vendor: Any, image_item: Any, picture: Any
) -> None:
    broken = image_item(data=picture(90, "JPEG", (64, 64))[:-40])
    answers = [await vendor.embed(broken, headers=keyed("k1")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [422, 422]
    assert (await charge_of(vendor, "k1"))["state"] == "released_final"
    assert await vendor.held() == "0.000000000"


async def test_an_engine_that_fails_costs_nothing_and_may_be_asked_again(vendor: Any) -> None:
    vendor.model.failure = RuntimeError("out of memory")
    broken = await vendor.embed("a dog", headers=keyed("k1"))
    assert broken.status_code == 503
    assert broken.headers[headers.SHOULD_RETRY] == "true"
    assert headers.RETRY_AFTER in broken.headers
    assert (await charge_of(vendor, "k1"))["state"] == "released"
    vendor.model.failure = None
    assert (await vendor.embed("a dog", headers=keyed("k1"))).status_code == 200
    assert await vendor.available() == "0.999990000"


async def test_a_dead_engine_is_503_and_not_ready(vendor: Any) -> None:
    vendor.model.failure = SystemExit("the device is gone")
    assert (await vendor.embed("a dog")).status_code == 503
    assert (await vendor.http.get("/readyz")).status_code == 503
    assert (await vendor.http.get("/healthz")).status_code == 200
    again = await vendor.embed("a dog")
    assert again.status_code == 503
    assert again.json()["code"] == "not_ready"
    assert await vendor.available() == "1.000000000"


async def test_a_client_that_leaves_before_its_turn_is_not_charged(vendor: Any) -> None:
    vendor.model.gate.clear()
    ahead = asyncio.create_task(vendor.embed("a dog"))
    await wait_until(vendor.model.entered.is_set)
    visitor = Visitor(vendor, "a cat")
    await wait_until(lambda: vendor.batcher.state().queued_ms > 5.5)
    visitor.left.set()
    await visitor.task
    assert visitor.status == 499
    vendor.model.gate.set()
    await ahead
    assert vendor.model.batches == [("text", 1)]
    assert (await charge_of(vendor, "visit"))["state"] == "released"
    assert await vendor.held() == "0.000000000"


async def test_work_that_was_begun_is_charged_though_its_client_has_left(vendor: Any) -> None:
    vendor.model.gate.clear()
    visitor = Visitor(vendor, "a cat")
    await wait_until(vendor.model.entered.is_set)
    visitor.left.set()
    await asyncio.sleep(0.05)
    vendor.model.gate.set()
    await visitor.task
    charge = await charge_of(vendor, "visit")
    assert (charge["state"], charge["cost_usd"]) == ("captured", "0.000010000")
    replay = await vendor.embed("a cat", headers=keyed("visit"))
    assert replay.json()["cost_usd"] == "0.000000000"


async def test_a_cancelled_handler_still_ends_its_charge(vendor: Any) -> None:
    vendor.model.gate.clear()
    visitor = Visitor(vendor, "a cat")
    await wait_until(vendor.model.entered.is_set)
    visitor.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await visitor.task
    vendor.model.gate.set()
    await wait_until(lambda: not vendor.app.state.shop.running)
    assert (await charge_of(vendor, "visit"))["state"] == "captured"


async def test_what_lost_its_hold_is_not_delivered(vendor: Any, vendor_database_url: str) -> None:
    vendor.model.gate.clear()
    slow = asyncio.create_task(vendor.embed("a dog", headers=keyed("k1")))
    await wait_until(vendor.model.entered.is_set)
    other = Ledger.open(vendor_database_url)
    assert await other.expire_orphans() == 1
    await other.close()
    vendor.model.gate.set()
    answer = await slow
    assert answer.status_code == 503
    assert "data" not in answer.json()
    assert answer.headers[headers.SHOULD_RETRY] == "true"
    assert await vendor.available() == "1.000000000"
    assert (await vendor.embed("a dog", headers=keyed("k1"))).status_code == 200


async def test_a_silent_ledger_is_503(vendor: Any) -> None:
    await vendor.app.state.shop.ledger.close()
    answer = await vendor.embed("a dog")
    assert answer.status_code == 503
    assert (await vendor.http.get("/readyz")).status_code == 503
    assert vendor.model.batches == []
