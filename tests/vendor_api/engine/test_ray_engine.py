"""The engine of a Ray cluster, with replicas in this process: same vectors, nothing lost, nothing hidden."""

import asyncio
import time
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.vendor_api.conftest import INFO, FakeModel
from tests.vendor_api.engine.replicas import FakeLine, make_replica
from vendor_api.engine.base import EngineUnavailable, ItemFailure
from vendor_api.engine.batcher import BatcherLimits, BatchReport
from vendor_api.engine.ray_engine import PART_BYTES, RayEngine
from vendor_api.engine.ray_road import QueuesFull, ReplicaLost
from vendor_api.stopwatch import Stopwatch

LIMITS = BatcherLimits(max_images=4, max_texts=4)


def picture(level: int, side: int = 8) -> Any:
    return np.full((side, side, 3), level, dtype=np.uint8)


def text(*tokens: int) -> Any:
    return np.array(tokens + (0,) * (6 - len(tokens)), dtype=np.int32)


def soon() -> float:
    return time.monotonic() + 30


@pytest.fixture
def model() -> Iterator[FakeModel]:
    fake = FakeModel()
    yield fake
    fake.gate.set()


@pytest.fixture
def line(model: FakeModel) -> FakeLine:
    return FakeLine([make_replica(model), make_replica()])


@pytest.fixture
def reports() -> list[BatchReport]:
    return []


@pytest.fixture
async def engine(line: FakeLine, reports: list[BatchReport]) -> RayEngine:
    return RayEngine(line, limits=LIMITS, observe=reports.append, pause_s=0)


async def test_vectors_come_back_in_the_order_of_the_items(engine: RayEngine) -> None:
    items = [picture(1), text(3), picture(2), text(4), picture(1)]
    mixed = await engine.embed(items, soon())
    alone = [(await engine.embed([item], soon()))[0] for item in items]
    np.testing.assert_array_equal(mixed, alone)
    assert mixed[0].dtype == np.float32  # type: ignore[union-attr]


async def test_nothing_asked_is_nothing_sent(engine: RayEngine, line: FakeLine) -> None:
    assert await engine.embed([], soon()) == []
    assert line.asked == []


async def test_a_large_request_is_shared_out_among_replicas(
    engine: RayEngine, line: FakeLine, reports: list[BatchReport]
) -> None:
    await engine.embed([picture(level) for level in range(10)], soon())
    assert len(line.asked) == 3
    assert sum(report.items for report in reports) == 10


async def test_an_ask_stays_below_what_ray_carries(engine: RayEngine, line: FakeLine) -> None:
    large = [picture(level, side=700) for level in range(4)]
    await engine.embed(large, soon())
    assert len(line.asked) == 2
    assert max(line.asked) < PART_BYTES + 1000


async def test_what_a_dying_replica_had_is_asked_of_another_one(
    engine: RayEngine, line: FakeLine
) -> None:
    line.script = [ReplicaLost("killed"), None, ReplicaLost("killed"), ReplicaLost("killed")]
    outcomes = await engine.embed([picture(1), text(1)], soon())
    assert not any(isinstance(outcome, ItemFailure) for outcome in outcomes)
    assert len(line.asked) == 5


async def test_items_that_kill_every_replica_are_given_up(
    engine: RayEngine, line: FakeLine
) -> None:
    line.script = [ReplicaLost("killed")] * 50
    with pytest.raises(EngineUnavailable, match="lost 4 times: killed"):
        await engine.embed([picture(1)], soon())
    assert len(line.asked) == 4


async def test_a_part_that_fails_is_the_engines_fault_and_the_others_are_answered(
    engine: RayEngine, line: FakeLine
) -> None:
    line.script = [QueuesFull("full")]
    outcomes = await engine.embed([picture(1), text(1)], soon())
    assert [isinstance(o, ItemFailure) and o.fault for o in outcomes] == ["engine", False]


async def test_full_queues_say_how_long_the_work_lasts_that_is_known_of(
    engine: RayEngine, line: FakeLine, model: FakeModel
) -> None:
    line.script = [QueuesFull("full")]
    with pytest.raises(EngineUnavailable, match="too much to do") as caught:
        await engine.embed([picture(1)], soon())
    assert caught.value.retry_after_s >= 1.0


async def test_a_replica_that_has_too_much_to_do_says_for_how_long(model: FakeModel) -> None:
    line = FakeLine([make_replica(model, max_queued_ms=50)])
    engine = RayEngine(line, pause_s=0)
    model.gate.clear()
    first = asyncio.create_task(engine.embed([picture(1)], soon()))
    await asyncio.to_thread(model.entered.wait)
    with pytest.raises(EngineUnavailable, match="too much to do") as caught:
        await engine.embed([picture(n) for n in range(5)], soon())
    assert 0 < caught.value.retry_after_s < 5
    state = engine.state()
    assert state.load_of("image").queued_ms == state.queued_ms > 0
    assert state.load_of("text").queued_ms == 0
    model.gate.set()
    assert not isinstance((await first)[0], ItemFailure)


async def test_replicas_that_are_down_are_said_to_be_and_when_one_may_be_back(
    engine: RayEngine, line: FakeLine
) -> None:
    assert engine.state().alive
    line.trouble = "no replica is running"
    assert not engine.state().alive
    with pytest.raises(EngineUnavailable, match="no replica is running") as caught:
        await engine.embed([picture(1)], soon())
    assert caught.value.retry_after_s == 7.0
    assert line.asked == []


async def test_a_replica_of_another_revision_computes_nothing_for_good(line: FakeLine) -> None:
    other = FakeModel(info=replace(INFO, revision="fedcba9876543210"))
    line.replicas = [make_replica(other)]
    engine = RayEngine(line, pause_s=0)
    with pytest.raises(EngineUnavailable, match="restart the server"):
        await engine.embed([picture(1)], soon())
    assert other.batches == []
    assert not engine.state().alive


async def test_a_bad_item_harms_no_neighbour_and_is_not_asked_again(
    engine: RayEngine, line: FakeLine
) -> None:
    outcomes = await engine.embed([picture(1), picture(255), picture(2)], soon())
    assert [isinstance(outcome, ItemFailure) for outcome in outcomes] == [False, True, False]
    assert len(line.asked) == 1


async def test_a_deadline_ends_the_waiting(engine: RayEngine, model: FakeModel) -> None:
    model.gate.clear()
    line = FakeLine([make_replica(model)])
    with pytest.raises(EngineUnavailable, match="in time"):
        await RayEngine(line, pause_s=0).embed([picture(1)], time.monotonic() + 0.05)


async def test_the_time_is_told_apart(engine: RayEngine) -> None:
    watch = Stopwatch()
    await engine.embed([picture(1), text(1)], soon(), watch)
    assert list(watch.seconds) == ["queue", "model"]
    assert all(seconds >= 0 for seconds in watch.seconds.values())


async def test_a_server_that_ends_leaves_the_cluster(engine: RayEngine, line: FakeLine) -> None:
    engine.close()
    assert line.closed


async def test_a_replica_whose_model_has_died_is_not_healthy(model: FakeModel) -> None:
    replica = make_replica(model)
    replica.check_health()
    model.failure = SystemExit("gone")
    engine = RayEngine(FakeLine([replica]), pause_s=0)
    with pytest.raises(EngineUnavailable):
        await engine.embed([picture(1)], soon())
    with pytest.raises(RuntimeError, match="stopped"):
        replica.check_health()
