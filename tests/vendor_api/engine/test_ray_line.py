"""The way from an API process to replicas and back: a real gateway process, and replicas without Ray."""

import asyncio
import json
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.vendor_api.conftest import INFO
from tests.vendor_api.engine.replicas import make_replica
from tests.vendor_api.engine.test_ray_engine import picture, soon
from vendor_api.engine.ray_engine import RayEngine
from vendor_api.engine.ray_gateway import Gateway
from vendor_api.engine.ray_line import LinePatience, RayLine
from vendor_api.engine.ray_road import Frame, QueuesFull, ReplicaLost, read_frame, write_frame
from vendor_api.refusal import Refusal

PROGRAM = (sys.executable, str(Path(__file__).with_name("ray_stand_in.py")))


def wait_until(condition: Callable[[], bool], seconds: float = 30) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.02)


@pytest.fixture
def line() -> Iterator[RayLine]:
    opened = RayLine(INFO.id, "here", program=PROGRAM, patience=LinePatience(silence=1.0, hang=2.0))
    yield opened
    opened.close()


def find_gateway(line: RayLine) -> int:
    assert line.gateway is not None
    return line.gateway


def test_a_line_tells_what_is_on_offer(line: RayLine) -> None:
    assert (line.info, line.fill) == (INFO, 0)
    assert line.find_trouble() is None


async def test_vectors_come_through(line: RayLine) -> None:
    engine = RayEngine(line)
    asks = [engine.embed([picture(level)], soon()) for level in range(5)]
    vectors = [(await ask)[0] for ask in asyncio.as_completed(asks)]
    assert len({vector.tobytes() for vector in vectors}) == 5  # type: ignore[union-attr]


async def test_a_gateway_that_is_killed_loses_what_it_had_and_is_replaced(line: RayLine) -> None:
    slow = asyncio.create_task(line.ask(b"wait"))
    await asyncio.sleep(0.1)
    os.kill(find_gateway(line), signal.SIGKILL)
    with pytest.raises(ReplicaLost):
        await slow
    assert line.find_trouble() is not None
    with pytest.raises(ReplicaLost):
        await line.ask(b"wait")
    await asyncio.to_thread(wait_until, lambda: line.find_trouble() is None)
    assert await RayEngine(line).embed([picture(1)], soon())


def test_a_gateway_that_says_nothing_is_down_then_replaced(line: RayLine) -> None:
    before = find_gateway(line)
    os.kill(before, signal.SIGSTOP)
    wait_until(lambda: line.find_trouble() is not None)
    wait_until(lambda: line.find_trouble() is None)
    assert find_gateway(line) != before
    with pytest.raises(ProcessLookupError):
        os.kill(before, 0)


def test_the_gateway_ends_with_the_server() -> None:
    line = RayLine(INFO.id, "here", program=PROGRAM)
    gateway = find_gateway(line)
    line.close()
    with pytest.raises(ProcessLookupError):
        os.kill(gateway, 0)


def test_what_keeps_a_gateway_from_starting_is_said() -> None:
    with pytest.raises(Refusal, match="not deployed"):
        RayLine("unknown", "here", program=PROGRAM)
    with pytest.raises(Refusal, match="ended at once"):
        RayLine(INFO.id, "here", program=(sys.executable, "-c", ""))


def test_a_cluster_that_cannot_be_joined_is_a_sentence() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and nobody listens
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        with pytest.raises(Refusal, match=r"no Ray cluster answers|Ray is not installed"):
            RayLine(INFO.id, address)


class Told:
    """A cluster that does as the test says."""

    def __init__(self) -> None:
        self.replica = make_replica()
        self.running = 2
        self.failure: Exception | None = None
        self.withdrawn = asyncio.Event()

    async def describe(self) -> dict[str, Any]:
        return await self.replica.describe()

    async def embed(self, data: bytes) -> bytes:
        if self.failure is not None:
            raise self.failure
        try:
            await asyncio.Event().wait()
        finally:
            self.withdrawn.set()
        return b""

    async def count_running(self) -> int:
        return self.running


@pytest.fixture
async def road() -> AsyncIterator[tuple[Told, asyncio.StreamReader, asyncio.StreamWriter]]:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    told = Told()
    gateway = Gateway(told, *await asyncio.open_connection(sock=theirs), look_s=0.01)
    running = asyncio.create_task(gateway.run())
    yield told, reader, writer
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    await running


async def next_frame(reader: asyncio.StreamReader, kind: str) -> Frame:
    while (frame := await read_frame(reader)).kind != kind:
        pass
    return frame


async def test_the_gateway_says_how_many_replicas_run(road: Any) -> None:
    told, reader, _ = road
    assert json.loads((await next_frame(reader, "hello")).data)["load_s"] >= 0
    assert json.loads((await next_frame(reader, "state")).data) == {"running": 2}
    told.running = 0
    while json.loads((await next_frame(reader, "state")).data)["running"]:
        pass


@pytest.mark.parametrize(
    ("failure", "kind"),
    [
        (ReplicaLost("killed"), "lost"),
        (QueuesFull("full"), "full"),
        (ZeroDivisionError("surprise"), "lost"),
    ],
)
async def test_every_failure_reaches_who_asked(road: Any, failure: Exception, kind: str) -> None:
    told, reader, writer = road
    told.failure = failure
    write_frame(writer, Frame("ask", 7, b"data"))
    answer = await next_frame(reader, kind)
    assert answer.number == 7
    assert str(failure) in answer.data.decode()


async def test_an_ask_that_is_taken_back_is_withdrawn_from_the_cluster(road: Any) -> None:
    told, _, writer = road
    write_frame(writer, Frame("ask", 7, b"data"))
    write_frame(writer, Frame("withdraw", 8))
    await asyncio.sleep(0.05)
    assert not told.withdrawn.is_set()
    write_frame(writer, Frame("withdraw", 7))
    async with asyncio.timeout(10):
        await told.withdrawn.wait()
