"""Several batches under way at a time: each lane has threads of its own, and no more than it was given."""

import asyncio
import threading
import time
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from tests.vendor_api.conftest import INFO
from vendor_api.engine.base import EngineUnavailable, ItemFailure
from vendor_api.engine.batcher import Batcher, BatcherLimits
from vendor_api.engine.crews import Crew
from vendor_api.engine.cuda_plan import CUDA_CREWS
from vendor_api.engine.lanes import Lane

LIMITS = BatcherLimits(max_images=4, max_texts=4, crews=CUDA_CREWS)


class WideModel:
    """Computes as many batches as it is given, each once its gate is open."""

    def __init__(self) -> None:
        self.info = INFO
        self.gates = {"image": threading.Event(), "text": threading.Event()}
        self.now = {"image": 0, "text": 0}
        self.most = {"image": 0, "text": 0}
        self.sizes: list[int] = []
        self._lock = threading.Lock()

    def encode_images(self, pixels: Any) -> Any:
        return self._encode("image", np.asarray(pixels))

    def encode_texts(self, tokens: Any) -> Any:
        return self._encode("text", np.asarray(tokens))

    def _encode(self, lane: str, items: Any) -> Any:
        with self._lock:
            self.now[lane] += 1
            self.most[lane] = max(self.most[lane], self.now[lane])
            self.sizes.append(len(items))
        assert self.gates[lane].wait(30)
        with self._lock:
            self.now[lane] -= 1
        if (items == 255).all():
            raise SystemExit("the thread ends")
        return items.reshape(len(items), -1)[:, :1].astype(np.float32)


def picture(level: int) -> Any:
    return np.full((2, 2, 3), level, dtype=np.uint8)


def text(token: int) -> Any:
    return np.array([token, 0, 0], dtype=np.int32)


def read(outcomes: list[Any]) -> list[float]:
    return [float(vector[0]) for vector in outcomes]


def soon() -> float:
    return time.monotonic() + 30


@pytest.fixture
def model() -> WideModel:
    return WideModel()


@pytest.fixture
def batcher(model: WideModel) -> Iterator[Batcher]:
    engine = Batcher(model, limits=LIMITS, item_ms={"text": 0.1, "image": 0.1}, stack=list)
    yield engine
    for gate in model.gates.values():
        gate.set()
    engine.close(10)


async def wait_for(lane: str, model: WideModel, count: int) -> None:
    async with asyncio.timeout(10):
        while model.now[lane] < count:  # noqa: ASYNC110  (threads set no event)
            await asyncio.sleep(0.002)


async def test_two_batches_of_a_lane_are_under_way_and_a_third_waits(
    model: WideModel, batcher: Batcher
) -> None:
    asks = []
    for under_way in (1, 2):
        asks.append(asyncio.create_task(batcher.embed([picture(1)], soon())))
        await wait_for("image", model, under_way)
    asks += [asyncio.create_task(batcher.embed([picture(level)], soon())) for level in (2, 3, 4)]
    while batcher.state().waiting < 3:  # noqa: ASYNC110
        await asyncio.sleep(0.002)
    model.gates["image"].set()
    found = await asyncio.gather(*asks)
    assert [read(rows)[0] for rows in found] == [1, 1, 2, 3, 4]
    assert model.most["image"] == 2
    assert max(model.sizes) >= 2  # what waited became a batch


async def test_texts_pass_pictures_that_are_under_way(model: WideModel, batcher: Batcher) -> None:
    images = asyncio.create_task(batcher.embed([picture(n) for n in range(9)], soon()))
    await wait_for("image", model, 2)
    model.gates["text"].set()
    (word,) = await batcher.embed([text(7)], soon())
    assert not isinstance(word, ItemFailure)
    assert word.tolist() == [7]
    assert not images.done()
    model.gates["image"].set()
    assert read(await images) == list(range(9))


async def test_items_of_both_lanes_come_back_in_order(model: WideModel, batcher: Batcher) -> None:
    for gate in model.gates.values():
        gate.set()
    items = [picture(n) if n % 2 else text(n) for n in range(40)]
    found = await asyncio.gather(*(batcher.embed(items, soon()) for _ in range(8)))
    for rows in found:
        assert read(rows) == list(range(40))


async def test_a_thread_that_ends_takes_the_engine_down(model: WideModel, batcher: Batcher) -> None:
    for gate in model.gates.values():
        gate.set()
    with pytest.raises(EngineUnavailable, match="stopped"):
        await batcher.embed([picture(255)], soon())
    assert not batcher.state().alive
    with pytest.raises(EngineUnavailable, match="the thread ends"):
        await batcher.embed([text(1)], soon())


def test_a_crew_looks_at_its_own_lanes_and_takes_turns() -> None:
    both, own = Crew(), Crew(("image",))
    both.take("text", 1.0, 0.0)
    own.take("image", 1.0, 0.0)
    assert both.order() == ("image", "text")
    assert own.order() == ("image",)
    both.take("image", 1.0, 0.0)
    assert both.order() == ("text", "image")


def test_of_batches_that_overlap_only_the_later_end_counts() -> None:
    lane = Lane("image", 10.0, 4)
    lane.learn(1, 0.0, 0.010)
    assert lane.item_ms == pytest.approx(10.0)
    lane.learn(1, 0.001, 0.015)  # 14 ms long, of which 9 beside the other
    assert lane.item_ms == pytest.approx(10.0 + 0.2 * (5.0 - 10.0))
