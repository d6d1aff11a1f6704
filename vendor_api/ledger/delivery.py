"""Brings results from a thread to an event loop: one wake-up for all that a commit settled."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import local
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from concurrent.futures import Future

T = TypeVar("T")

__all__ = ["await_result", "deliver_together"]

_Settled = list[tuple["asyncio.Future[Any]", "Future[Any]"]]
_thread = local()


@contextmanager
def deliver_together() -> Iterator[None]:
    """Loops hear of the futures that this thread settles inside only at the end, all at once.

    Waking a loop costs a system call; a group of a hundred commands settles a hundred futures.
    """
    waiting: dict[asyncio.AbstractEventLoop, _Settled] = {}
    _thread.waiting = waiting
    try:
        yield
    finally:
        _thread.waiting = None
        for loop, settled in waiting.items():
            _wake(loop, settled)


async def await_result(future: "Future[T]") -> T:
    """What the future becomes. A caller that is cancelled leaves the future as it is."""
    loop = asyncio.get_running_loop()
    waiter: asyncio.Future[T] = loop.create_future()

    def hear(done: "Future[T]") -> None:
        waiting = getattr(_thread, "waiting", None)
        if waiting is None:
            _wake(loop, [(waiter, done)])
        else:
            waiting.setdefault(loop, []).append((waiter, done))

    future.add_done_callback(hear)
    return await waiter


def _wake(loop: asyncio.AbstractEventLoop, settled: _Settled) -> None:
    # A loop may close at any moment, and then nobody waits there: the thread must outlive it.
    with suppress(RuntimeError):
        loop.call_soon_threadsafe(_settle, settled)


def _settle(settled: _Settled) -> None:
    for waiter, done in settled:
        if waiter.done():  # its caller was cancelled
            continue
        error = done.exception()
        if error is None:
            waiter.set_result(done.result())
        else:
            waiter.set_exception(error)
