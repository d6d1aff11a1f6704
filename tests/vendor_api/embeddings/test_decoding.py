"""The decoders: apart from everything else, fair between requests, bounded."""

import asyncio
import os
import sys
import threading
from collections.abc import AsyncIterator
from typing import Any

import numpy as np
import pytest

from shared.cores import count_cores
from shared.wire import ItemError
from tests.vendor_api.embeddings.test_money import wait_until
from vendor_api.embeddings.decoding import NICENESS, Decoder


class Slow:
    """A preparation that waits until it may go on, and remembers who came."""

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.sizes: list[tuple[int, int]] = []
        self.niceness: set[int] = set()

    def preprocess(self, image: Any) -> Any:
        self.sizes.append(image.size)
        self.niceness.add(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        assert self.gate.wait(30)
        return np.zeros((8, 8, 3), dtype=np.uint8)

    def tokenize(self, texts: Any) -> Any:
        raise NotImplementedError


@pytest.fixture
async def decoder() -> AsyncIterator[Decoder]:
    made = Decoder(2)
    yield made
    made.close()


async def test_no_request_keeps_others_waiting_for_all_of_it(
    decoder: Decoder, picture: Any
) -> None:
    slow = Slow()

    async def draw(size: tuple[int, int], share: asyncio.Semaphore) -> None:
        async with share:
            await decoder.decode(slow, picture(1, size=size), 100)

    long = decoder.share()
    drawing = [asyncio.create_task(draw((10, 10), long)) for _ in range(20)]
    await wait_until(lambda: len(slow.sizes) == 2)
    drawing.append(asyncio.create_task(draw((20, 20), decoder.share())))
    await asyncio.sleep(0)
    slow.gate.set()
    await asyncio.gather(*drawing)
    assert slow.sizes.index((20, 20)) <= 4


@pytest.mark.skipif(sys.platform != "linux", reason="a thread's own priority is Linux's")
async def test_decoders_yield_to_everything_else(decoder: Decoder, picture: Any) -> None:
    before = os.getpriority(os.PRIO_PROCESS, threading.get_native_id())
    slow = Slow()
    slow.gate.set()
    await decoder.decode(slow, picture(1), 100)
    assert slow.niceness == {min(before + NICENESS, 19)}
    assert os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) == before


async def test_what_cannot_be_decoded_is_its_senders(decoder: Decoder) -> None:
    drawn = await decoder.decode(Slow(), b"\xff\xd8\xff nothing", 100)
    assert isinstance(drawn, ItemError)


async def test_estimates_follow_what_pictures_take(decoder: Decoder, picture: Any) -> None:
    fast = Slow()
    fast.gate.set()
    before = decoder.estimate(10**9)
    for _ in range(20):
        await decoder.decode(fast, picture(1), 10**9)
    assert decoder.estimate(10**9) < before / 2


def test_small_pictures_count_something_and_there_is_a_thread_a_core() -> None:
    decoder = Decoder()
    assert decoder.threads == max(1, count_cores() - 1)
    assert decoder.estimate(1) > 0
    assert decoder.estimate(12_000_000) > 50 * decoder.estimate(1)
