"""Equal items of one account are computed once, whoever asks and whatever becomes of the first."""

import asyncio
from typing import Any

import numpy as np
import pytest

from shared import headers
from shared.codecs import decode_vector
from tests.vendor_api.embeddings.test_money import Visitor, keyed, wait_until
from vendor_api.embeddings.results import Key, Results
from vendor_api.settings import VendorSettings


def key(number: int, account: str = "a") -> Key:
    return account, "r", "image", bytes([number])


def vector(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return decode_vector(answer.json()["data"][0]["embedding"])


class TestAsking:
    async def test_an_item_bought_again_is_neither_computed_nor_charged(
        self, vendor: Any, image_item: Any
    ) -> None:
        first = await vendor.embed(image_item(1), "a dog")
        again = await vendor.embed("a dog", image_item(1))
        assert again.json()["cost_usd"] == "0.000000000"
        assert again.json()["usage"] == first.json()["usage"]
        assert again.json()["data"][0]["embedding"] == first.json()["data"][1]["embedding"]
        assert sum(items for _, items in vendor.model.batches) == 2

    async def test_a_replay_is_not_computed_again(self, vendor: Any) -> None:
        first, again = [await vendor.embed("a dog", headers=keyed("k")) for _ in range(2)]
        assert again.headers[headers.IDEMPOTENCY_REPLAYED] == "true"
        assert again.json()["data"][0]["embedding"] == first.json()["data"][0]["embedding"]
        assert len(vendor.model.batches) == 1

    async def test_two_requests_at_once_share_one_computation_and_one_price(
        self, vendor: Any, image_item: Any
    ) -> None:
        vendor.model.gate.clear()
        asked = [asyncio.create_task(vendor.embed(image_item(1), f"text {n}")) for n in range(3)]
        await wait_until(lambda: len(vendor.app.state.shop.running) == 3)
        await asyncio.sleep(0.05)
        vendor.model.gate.set()
        answers = await asyncio.gather(*asked)
        assert all(np.array_equal(vector(answers[0]), vector(one)) for one in answers)
        assert sum(items for lane, items in vendor.model.batches if lane == "image") == 1
        # Three texts and one picture.
        assert await vendor.available() == "0.999870000"

    async def test_what_the_first_gives_up_the_second_computes(
        self, vendor: Any, image_item: Any
    ) -> None:
        vendor.model.gate.clear()
        blocker = asyncio.create_task(vendor.embed(image_item(9)))
        await wait_until(vendor.model.entered.is_set)
        first = Visitor(vendor, image_item(1))
        await wait_until(lambda: len(vendor.app.state.shop.running) == 2)
        await asyncio.sleep(0.05)
        second = asyncio.create_task(vendor.embed(image_item(1)))
        await wait_until(lambda: len(vendor.app.state.shop.running) == 3)
        await asyncio.sleep(0.05)
        first.left.set()  # it waits its turn behind the blocker, so nothing was begun
        await first.task
        vendor.model.gate.set()
        assert vector(await second) is not None
        await blocker
        assert await vendor.held() == "0.000000000"
        assert await vendor.available() == "0.999800000"

    async def test_a_failure_is_not_kept(self, vendor: Any) -> None:
        vendor.model.failure = RuntimeError("a device fell over")
        assert (await vendor.embed("a dog")).status_code == 503
        vendor.model.failure = None
        assert vector(await vendor.embed("a dog")) is not None

    async def test_a_bad_item_is_refused_to_each_who_sends_it(
        self, vendor: Any, picture: Any, image_item: Any
    ) -> None:
        broken = image_item(data=picture(20)[:-30])
        answers = await asyncio.gather(*(vendor.embed("a", broken) for _ in range(3)))
        for answer in answers:
            assert answer.json()["data"][1]["error"]["code"] == "invalid_image"

    async def test_metrics_count_what_was_not_computed(self, vendor: Any) -> None:
        for _ in range(3):
            await vendor.embed("a dog")
        text = (await vendor.http.get("/metrics")).text
        assert 'vl2v_results_total{kind="kept"} 2.0' in text


class TestWithoutMemory:
    @pytest.fixture
    def settings(self) -> VendorSettings:
        return VendorSettings(result_cache_bytes=0, audit_seconds=0)

    async def test_nothing_is_kept(self, vendor: Any) -> None:
        for _ in range(2):
            await vendor.embed("a dog")
        assert len(vendor.model.batches) == 2


class TestResults:
    async def test_accounts_share_nothing(self) -> None:
        results = Results(10_000)
        with results.claim({0: key(1)}) as claims:
            claims.settle(0, np.ones(4, dtype=np.float32))
        with results.claim({0: key(1, "b")}) as other:
            assert not other.found
            assert not other.shared
        with results.claim({0: key(1)}) as same:
            assert np.array_equal(same.found[0], np.ones(4))

    async def test_the_longest_unused_goes_first(self) -> None:
        results = Results(2 * (16 + 400))
        for number in (1, 2):
            with results.claim({0: key(number)}) as claims:
                claims.settle(0, np.full(4, number, dtype=np.float32))
        with results.claim({0: key(1)}):
            pass
        with results.claim({0: key(3)}) as claims:
            claims.settle(0, np.full(4, 3, dtype=np.float32))
        with results.claim({n: key(n) for n in (1, 2, 3)}) as claims:
            assert sorted(claims.found) == [1, 3]

    async def test_a_kept_row_does_not_keep_its_batch(self) -> None:
        results = Results(10_000)
        batch = np.zeros((1000, 4), dtype=np.float32)
        with results.claim({0: key(1)}) as claims:
            claims.settle(0, batch[7])
        with results.claim({0: key(1)}) as claims:
            assert claims.found[0].base is None

    async def test_whoever_waits_is_told_of_a_giving_up(self) -> None:
        results = Results(10_000)
        with results.claim({0: key(1)}):
            waiting = results.claim({5: key(1)})
        assert await waiting.shared[5] is None
        with results.claim({0: key(1)}) as again:
            assert list(again.own) == [0]
