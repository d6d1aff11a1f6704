"""More than the engine can do, through the front door: refused cheaply, and served when told."""

import asyncio
from typing import Any

import pytest

from shared import headers
from tests.vendor_api.embeddings.test_money import Visitor, wait_until
from vendor_api.settings import VendorSettings


@pytest.fixture
def settings() -> VendorSettings:
    # Of pictures, 20 ms each while nothing has been measured, three may wait.
    return VendorSettings(max_queued_ms=70, decode_threads=2, audit_seconds=0)


async def count(vendor: Any, start: str) -> float:
    lines = (await vendor.http.get("/metrics")).text.splitlines()
    return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(start))


async def fill(vendor: Any, image_item: Any) -> "list[asyncio.Task[Any]]":
    """Three pictures are let in, and the engine does nothing."""
    vendor.model.gate.clear()
    tasks = []
    for level in range(3):
        tasks.append(asyncio.create_task(vendor.embed(image_item(level))))
        await wait_until(lambda: _read_queue(vendor) > 20 * (len(tasks) - 1))
    return tasks


def _read_queue(vendor: Any) -> float:
    queued: float = vendor.batcher.state().lanes["image"].queued_ms
    return queued


async def test_a_refused_request_is_told_when_and_is_neither_held_nor_decoded(
    vendor: Any, image_item: Any
) -> None:
    served = await fill(vendor, image_item)
    reserved = await count(vendor, 'vl2v_ledger_tx_total{op="reserve"')
    refused = [await vendor.embed(image_item(level)) for level in range(100, 105)]
    assert {answer.status_code for answer in refused} == {503}
    told = [int(answer.headers[headers.RETRY_AFTER_MS]) for answer in refused]
    assert told[0] < told[-1]
    for answer in refused:
        assert answer.json()["code"] == "overloaded"
        assert "a place is kept for it" in answer.json()["detail"]
        assert answer.headers[headers.RETRY_AFTER] == "1"
        assert answer.headers[headers.SHOULD_RETRY] == "true"
    assert await count(vendor, 'vl2v_ledger_tx_total{op="reserve"') == reserved
    assert await vendor.held() == "0.000300000"
    vendor.model.gate.set()
    assert [(await task).status_code for task in served] == [200] * 3
    assert sum(items for lane, items in vendor.model.batches if lane == "image") == 3


async def test_texts_are_served_while_pictures_are_refused(vendor: Any, image_item: Any) -> None:
    served = await fill(vendor, image_item)
    asked = asyncio.create_task(vendor.embed("a dog"))
    await wait_until(lambda: vendor.batcher.state().lanes["text"].queued_ms > 0)
    assert (await vendor.embed(image_item(100))).status_code == 503
    vendor.model.gate.set()
    assert (await asked).status_code == 200
    await asyncio.gather(*served)


async def test_what_is_known_is_answered_in_any_crowd(vendor: Any, image_item: Any) -> None:
    known = await vendor.embed("a dog")
    served = await fill(vendor, image_item)
    again = await vendor.embed("a dog")
    assert again.json()["data"][0]["embedding"] == known.json()["data"][0]["embedding"]
    assert (await vendor.embed("a dog", image_item(201))).status_code == 503
    vendor.model.gate.set()
    await asyncio.gather(*served)


async def test_all_who_honour_what_they_are_told_are_served(vendor: Any, image_item: Any) -> None:
    tries: list[int] = []

    async def call(level: int) -> None:
        for attempt in range(4):
            # A single picture and a list follow the same rule.
            items = [image_item(level + row) for row in range(1 + level % 2)]
            answer = await vendor.embed(*items)
            if answer.status_code == 200:
                tries.append(attempt)
                return
            assert answer.json()["code"] == "overloaded"
            await asyncio.sleep(int(answer.headers[headers.RETRY_AFTER_MS]) / 1000)

    vendor.model.gate.clear()
    calls = [asyncio.create_task(call(3 * number)) for number in range(16)]
    await wait_until(lambda: vendor.batcher.state().queued_ms > 40)
    vendor.model.gate.set()
    await asyncio.gather(*calls)
    assert len(tries) == 16
    assert max(tries) >= 1
    assert await vendor.held() == "0.000000000"
    assert await vendor.available() == "0.997600000"


async def test_who_leaves_while_it_is_decoded_is_not_computed(vendor: Any, image_item: Any) -> None:
    """A client that has gone before the engine got its items costs neither of them anything."""
    vendor.model.gate.clear()
    blocker = asyncio.create_task(vendor.embed("a dog"))
    await wait_until(vendor.model.entered.is_set)
    visitor = Visitor(vendor, *[image_item(level) for level in range(3)])
    visitor.left.set()
    await visitor.task
    vendor.model.gate.set()
    assert (await blocker).status_code == 200
    assert visitor.status == 499
    assert vendor.model.batches == [("text", 1)]
    assert await vendor.held() == "0.000000000"
