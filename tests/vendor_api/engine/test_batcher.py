"""The batcher: greedy, fair, and honest about failure."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pytest

from vendor_api.engine.base import EngineUnavailable, ItemFailure
from vendor_api.engine.batcher import Batcher, BatcherLimits, BatchReport
from vendor_api.engine.crews import APART


def picture(level: int, side: int = 8) -> Any:
    return np.full((side, side, 3), level, dtype=np.uint8)


def text(*tokens: int) -> Any:
    return np.array(tokens + (0,) * (6 - len(tokens)), dtype=np.int32)


def same(ours: Sequence[Any], theirs: Sequence[Any]) -> bool:
    return all(np.array_equal(a, b) for a, b in zip(ours, theirs, strict=True))


def soon() -> float:
    return time.monotonic() + 30


async def wait_until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110  (threads set no event)
            await asyncio.sleep(0.002)


@pytest.fixture
async def held(fake_model: Any, batcher: Batcher) -> AsyncIterator["asyncio.Task[Any]"]:
    """The model is inside a batch of one picture and stays there until the gate opens."""
    fake_model.gate.clear()
    task = asyncio.create_task(batcher.embed([picture(1)], soon()))
    await wait_until(fake_model.entered.is_set)
    yield task
    fake_model.gate.set()
    await asyncio.gather(task, return_exceptions=True)


async def test_vectors_come_back_in_the_order_of_the_items(batcher: Batcher) -> None:
    items = [picture(1), text(3), picture(2), text(4), picture(1)]
    mixed = await batcher.embed(items, soon())
    alone = [(await batcher.embed([item], soon()))[0] for item in items]
    assert same(mixed, alone)


async def test_nothing_asked_is_nothing_computed(batcher: Batcher, fake_model: Any) -> None:
    assert await batcher.embed([], soon()) == []
    assert fake_model.batches == []


async def test_what_waits_while_the_model_works_becomes_one_batch(
    batcher: Batcher, fake_model: Any, held: Any
) -> None:
    waiting = [asyncio.create_task(batcher.embed([picture(level)], soon())) for level in (2, 3, 4)]
    await wait_until(lambda: batcher.state().queued_ms > 60)
    fake_model.gate.set()
    await asyncio.gather(held, *waiting)
    assert fake_model.batches == [("image", 1), ("image", 3)]


async def test_a_batch_is_bounded_by_items_and_by_estimated_work(fake_model: Any) -> None:
    for limits, largest in (
        (BatcherLimits(max_images=4), 4),
        (BatcherLimits(max_images=100, max_batch_ms=40), 2),  # a picture counts 20 ms at first
    ):
        fake_model.batches.clear()
        fake_model.entered.clear()
        batcher = Batcher(fake_model, limits=limits)
        fake_model.gate.clear()
        task = asyncio.create_task(batcher.embed([picture(n) for n in range(9)], soon()))
        await wait_until(fake_model.entered.is_set)
        fake_model.gate.set()
        await task
        assert fake_model.batches[0] == ("image", largest)
        batcher.close(10)


async def test_texts_do_not_wait_behind_a_queue_of_images(
    batcher: Batcher, fake_model: Any, held: Any
) -> None:
    images = asyncio.create_task(batcher.embed([picture(n) for n in range(2, 14)], soon()))
    await wait_until(lambda: batcher.state().queued_ms > 200)
    words = asyncio.create_task(batcher.embed([text(7)], soon()))
    await wait_until(lambda: batcher.state().queued_ms > 260 or len(fake_model.batches) > 1)
    fake_model.gate.set()
    await asyncio.gather(held, images, words)
    assert fake_model.batches[1] == ("text", 1)


async def test_a_failing_item_harms_no_neighbour(batcher: Batcher) -> None:
    good = [picture(n) for n in (10, 20, 30)]
    clean = await batcher.embed(good, soon())
    outcomes = await batcher.embed([good[0], picture(255), good[1], good[2]], soon())
    assert isinstance(outcomes[1], ItemFailure)
    assert "poisoned" in outcomes[1].reason
    rest = [outcomes[0], outcomes[2], outcomes[3]]
    assert same(rest, clean)


async def test_items_of_another_shape_are_another_batch(batcher: Batcher, fake_model: Any) -> None:
    outcomes = await batcher.embed([picture(1), picture(2, side=9), picture(3)], soon())
    assert not any(isinstance(outcome, ItemFailure) for outcome in outcomes)


async def test_a_vector_that_is_not_finite_is_a_failure(batcher: Batcher, fake_model: Any) -> None:
    fake_model.encode_images = lambda pixels: np.array([[np.nan] * 4, [0.5] * 4], dtype=np.float32)
    outcomes = await batcher.embed([picture(1), picture(2)], soon())
    assert isinstance(outcomes[0], ItemFailure)
    assert not isinstance(outcomes[1], ItemFailure)


async def test_a_dead_thread_is_seen_at_once_and_answers_everybody(
    batcher: Batcher, fake_model: Any, held: Any
) -> None:
    waiting = asyncio.create_task(batcher.embed([picture(2)], soon()))
    await wait_until(lambda: batcher.state().queued_ms > 30)
    assert batcher.state().alive
    fake_model.failure = SystemExit("the device is gone")
    fake_model.gate.set()
    for task in (held, waiting):
        with pytest.raises(EngineUnavailable, match="the device is gone"):
            await task
    assert not batcher.state().alive
    with pytest.raises(EngineUnavailable, match="has stopped"):
        await batcher.embed([picture(3)], soon())


async def test_a_batch_that_hangs_makes_the_engine_not_alive(fake_model: Any) -> None:
    now = 100.0
    batcher = Batcher(fake_model, limits=BatcherLimits(stall_s=5), clock=lambda: now)
    fake_model.gate.clear()
    task = asyncio.create_task(batcher.embed([picture(1)], 200.0))
    await wait_until(fake_model.entered.is_set)
    assert batcher.state().alive
    now = 106.0
    assert not batcher.state().alive
    fake_model.gate.set()
    await task
    batcher.close(10)


async def test_a_caller_that_leaves_while_waiting_is_skipped(
    batcher: Batcher, fake_model: Any, held: Any
) -> None:
    leaving = asyncio.create_task(batcher.embed([picture(2)], soon()))
    staying = asyncio.create_task(batcher.embed([picture(3)], soon()))
    await wait_until(lambda: batcher.state().queued_ms > 50)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving
    fake_model.gate.set()
    await asyncio.gather(held, staying)
    assert fake_model.batches == [("image", 1), ("image", 1)]


async def test_work_that_was_begun_is_finished_for_a_caller_that_leaves(
    fake_model: Any, held: Any
) -> None:
    held.cancel()
    await asyncio.sleep(0)
    fake_model.gate.set()
    (vector,) = await held
    assert vector.shape == (4,)


async def test_the_deadline_is_kept(batcher: Batcher, fake_model: Any, held: Any) -> None:
    with pytest.raises(EngineUnavailable):
        await batcher.embed([picture(2)], time.monotonic() + 0.05)
    fake_model.gate.set()
    await held
    assert fake_model.batches == [("image", 1)]


async def test_a_request_that_cannot_be_done_in_time_is_turned_away_at_once(
    batcher: Batcher, fake_model: Any, held: Any
) -> None:
    with pytest.raises(EngineUnavailable, match="too much to do") as caught:
        await batcher.embed([picture(2)] * 600, soon())
    assert caught.value.retry_after_s > 0
    assert len(fake_model.batches) == 1


async def test_an_idle_engine_takes_a_request_of_any_size(fake_model: Any) -> None:
    batcher = Batcher(fake_model, limits=BatcherLimits(max_queued_ms=1))
    assert len(await batcher.embed([text(n) for n in range(1, 20)], soon())) == 19
    batcher.close(10)


async def test_closing_finishes_what_waits(batcher: Batcher, fake_model: Any, held: Any) -> None:
    waiting = asyncio.create_task(batcher.embed([picture(2)], soon()))
    await wait_until(lambda: batcher.state().queued_ms > 30)
    closing = asyncio.create_task(asyncio.to_thread(batcher.close))
    fake_model.gate.set()
    await closing
    assert len(await waiting) == 1
    with pytest.raises(EngineUnavailable):
        await batcher.embed([picture(3)], soon())


async def test_every_batch_is_reported(fake_model: Any) -> None:
    reports: list[BatchReport] = []
    batcher = Batcher(fake_model, observe=reports.append)
    await batcher.embed([picture(1), picture(255)], soon())
    batcher.close(10)
    assert [(report.lane, report.items, report.failed) for report in reports] == [("image", 2, 1)]


async def test_long_texts_do_not_make_short_ones_long(
    batcher: Batcher, fake_model: Any, held: "asyncio.Task[Any]"
) -> None:
    items = [text(1), text(1, 2, 3, 4, 5), text(2), text(1, 2, 3, 4), text(3, 3)]
    asked = asyncio.create_task(batcher.embed(items, soon()))
    await wait_until(lambda: batcher.state().queued_ms > 20)
    fake_model.gate.set()
    outcomes = await asked
    # One or two words together, four or five together.
    assert [size for lane, size in fake_model.batches if lane == "text"] == [3, 2]
    alone = [(await batcher.embed([item], soon()))[0] for item in items]
    assert same(outcomes, alone)


class TestImagesBesideTexts:
    """A text can only wait for a batch of images to end, so that batches are short while texts come."""

    async def compute(self, fake_model: Any, batcher: Batcher, count: int) -> None:
        """That many pictures, of which the first is computed alone while the others come."""
        fake_model.batches.clear()
        fake_model.entered.clear()
        fake_model.gate.clear()
        first = asyncio.create_task(batcher.embed([picture(0)], batcher._clock() + 30))
        await wait_until(fake_model.entered.is_set)
        rest = [picture(level) for level in range(1, count)]
        second = asyncio.create_task(batcher.embed(rest, batcher._clock() + 30))
        await wait_until(lambda: batcher.state().waiting == count - 1)
        fake_model.gate.set()
        await asyncio.gather(first, second)

    async def test_they_are_small_while_texts_come_and_large_again_after(
        self, fake_model: Any
    ) -> None:
        now = 100.0
        limits = BatcherLimits(max_wait_ms=50, text_memory_s=2)
        batcher = Batcher(fake_model, limits=limits, clock=lambda: now)
        await batcher.embed([text(1)], now + 30)
        await self.compute(fake_model, batcher, 9)
        assert max(items for _, items in fake_model.batches) < 8
        now += 2.1
        await self.compute(fake_model, batcher, 9)
        assert ("image", 8) in fake_model.batches
        batcher.close(10)


async def test_one_batch_that_took_very_long_says_little_of_the_next(fake_model: Any) -> None:
    now = 100.0
    batcher = Batcher(fake_model, clock=lambda: now)
    fake_model.gate.clear()
    first = asyncio.create_task(batcher.embed([picture(1)], now + 300))
    await wait_until(fake_model.entered.is_set)
    now += 4.0
    fake_model.gate.set()
    await first
    assert batcher.state().load_of("image").item_ms == pytest.approx(28)
    batcher.close(10)


async def test_lanes_are_counted_apart(batcher: Batcher, fake_model: Any, held: Any) -> None:
    words = asyncio.create_task(batcher.embed([text(7), text(8)], soon()))
    await wait_until(lambda: batcher.state().waiting == 2)
    state = batcher.state()
    assert state.load_of("text").queued_ms == pytest.approx(10)
    assert state.load_of("image").queued_ms == pytest.approx(20)
    assert state.queued_ms == pytest.approx(30)
    fake_model.gate.set()
    await asyncio.gather(held, words)


class TestApart:
    """A model that takes images and texts at the same time."""

    @pytest.fixture
    def apart(self, fake_model: Any) -> Iterator[Batcher]:
        batcher = Batcher(fake_model, limits=BatcherLimits(stall_s=5, crews=APART))
        yield batcher
        fake_model.gate.set()
        batcher.close(10)

    @pytest.fixture
    async def drawing(self, fake_model: Any, apart: Batcher) -> "asyncio.Task[Any]":
        """A batch of pictures is held up; texts are not."""
        fake_model.gate.clear()
        fake_model.encode_texts = lambda tokens: np.ones((len(tokens), 4), dtype=np.float32)
        task = asyncio.create_task(apart.embed([picture(1)] * 3, soon()))
        await wait_until(fake_model.entered.is_set)
        return task

    async def test_a_text_is_computed_beside_images(
        self, fake_model: Any, apart: Batcher, drawing: "asyncio.Task[Any]"
    ) -> None:
        assert len(await apart.embed([text(1)], soon())) == 1
        assert not drawing.done()
        assert apart.state().load_of("image").queued_ms == pytest.approx(60)
        assert apart.state().load_of("text").queued_ms == 0
        fake_model.gate.set()
        assert len(await drawing) == 3

    async def test_a_request_with_both_has_all_in_their_places(
        self, fake_model: Any, apart: Batcher, batcher: Batcher
    ) -> None:
        items = [picture(1), text(3), picture(2), text(4)]
        assert same(await apart.embed(items, soon()), await batcher.embed(items, soon()))

    async def test_images_need_not_be_short_for_texts(
        self, fake_model: Any, apart: Batcher, drawing: "asyncio.Task[Any]"
    ) -> None:
        await apart.embed([text(1)], soon())
        more = asyncio.create_task(apart.embed([picture(2)] * 9, soon()))
        await wait_until(lambda: apart.state().waiting == 9)
        fake_model.gate.set()
        await asyncio.gather(drawing, more)
        assert fake_model.batches == [("image", 3), ("image", 9)]

    async def test_one_dead_thread_is_the_death_of_the_engine(
        self, fake_model: Any, apart: Batcher, drawing: "asyncio.Task[Any]"
    ) -> None:
        fake_model.failure = SystemExit("the device is gone")
        fake_model.gate.set()
        with pytest.raises(EngineUnavailable, match="the device is gone"):
            await drawing
        assert not apart.state().alive
        with pytest.raises(EngineUnavailable, match="has stopped"):
            await apart.embed([text(1)], soon())
