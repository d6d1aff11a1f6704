"""Results cross from threads to event loops: in order, at once, and to whoever still waits."""

import asyncio
from concurrent.futures import Future
from threading import Thread

import pytest

from vendor_api.ledger.delivery import await_result, deliver_together


def in_a_thread(work):
    thread = Thread(target=work)
    thread.start()
    thread.join()


class CountingLoop(asyncio.SelectorEventLoop):
    """Counts how often other threads wake it."""

    woken = 0

    def call_soon_threadsafe(self, callback, *arguments, context=None):  # type: ignore[override]
        self.woken += 1
        return super().call_soon_threadsafe(callback, *arguments, context=context)


async def _settle_together(futures: "list[Future[int]]") -> list[int]:
    waiting = [asyncio.ensure_future(await_result(future)) for future in futures]
    await asyncio.sleep(0)

    def settle():
        with deliver_together():
            for number, future in enumerate(futures):
                future.set_result(number)

    in_a_thread(settle)
    return await asyncio.gather(*waiting)


def test_what_is_settled_together_wakes_the_loop_once():
    futures: list[Future[int]] = [Future() for _ in range(20)]
    loop = CountingLoop()
    assert loop.run_until_complete(_settle_together(futures)) == list(range(20))
    assert loop.woken == 1
    loop.close()


async def test_an_error_reaches_its_own_caller_only():
    futures: list[Future[str]] = [Future(), Future()]
    waiting = [asyncio.ensure_future(await_result(future)) for future in futures]
    await asyncio.sleep(0)

    def settle():
        with deliver_together():
            futures[0].set_exception(ValueError("no"))
            futures[1].set_result("yes")

    in_a_thread(settle)
    with pytest.raises(ValueError, match="no"):
        await waiting[0]
    assert await waiting[1] == "yes"


async def test_a_result_without_a_group_is_delivered_too():
    future: Future[int] = Future()
    waiting = asyncio.ensure_future(await_result(future))
    await asyncio.sleep(0)
    in_a_thread(lambda: future.set_result(7))
    assert await waiting == 7


async def test_a_result_that_was_there_before_is_delivered():
    future: Future[int] = Future()
    future.set_result(7)
    assert await await_result(future) == 7


async def test_a_cancelled_caller_leaves_the_work_and_its_neighbours_alone():
    futures: list[Future[str]] = [Future(), Future()]
    waiting = [asyncio.ensure_future(await_result(future)) for future in futures]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)

    def settle():
        with deliver_together():
            for future in futures:
                future.set_result("done")

    in_a_thread(settle)
    assert await waiting[1] == "done"
    assert futures[0].result() == "done"


def test_a_loop_that_has_closed_is_left_alone():
    future: Future[int] = Future()

    async def give_up():
        task = asyncio.ensure_future(await_result(future))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(give_up())
    in_a_thread(lambda: future.set_result(7))
    assert future.result() == 7


def test_a_group_for_a_loop_that_has_closed_does_not_stop_the_thread():
    future: Future[int] = Future()

    async def give_up():
        task = asyncio.ensure_future(await_result(future))
        await asyncio.sleep(0)
        task.cancel()

    asyncio.run(give_up())
    reached = []

    def settle():
        with deliver_together():
            future.set_result(7)
        reached.append("the next group")

    in_a_thread(settle)
    assert reached == ["the next group"]
