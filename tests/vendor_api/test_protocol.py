"""Heads, trailers and what stands between chunks: bounded on the wire, whatever pieces they come in."""

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn

from vendor_api.protocol import MAX_HEADER_BYTES
from vendor_api.server import configure

HEAD = b"POST /there HTTP/1.1\r\nhost: v\r\n"
CHUNKED = HEAD + b"transfer-encoding: chunked\r\n\r\n"
LONG = 16 * MAX_HEADER_BYTES
"""More than is read from a connection at a time."""
PIECE = 8 * 1024


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """How many bytes came, and under how many headers; or what the address asks for."""
    if scope["path"] == "/slowly":
        await answer_slowly(send)
        return
    seen, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        seen += len(message["body"])
        more = message["more_body"]
    body = json.dumps([seen, len(scope["headers"])]).encode()
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": 200, "headers": [length]})
    await send({"type": "http.response.body", "body": body})


async def answer_slowly(send: Any) -> None:
    """A head, and later bodies that look like heads."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for piece in (b"", b"HTTP/1.1 200 OK", b"HTTP/1.1 100"):
        await asyncio.sleep(0.01)
        await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body", "body": b"end"})


@pytest.fixture
async def port() -> AsyncIterator[int]:
    config = configure(echo)
    config.port, config.lifespan = 0, "off"
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


class Caller:
    """One connection that says what it likes."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def say(self, data: bytes, *, piece: int = 2**20) -> None:
        """Send it piece by piece, until the server listens no more."""
        try:
            for begin in range(0, len(data), piece):
                self.writer.write(data[begin : begin + piece])
                await self.writer.drain()
                await asyncio.sleep(0)
        except ConnectionError:
            return

    async def hear_answer(self) -> list[int]:
        """The next answer's body. Raises IncompleteReadError when there is none."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        length = int(head.split(b"content-length: ")[1].split(b"\r\n")[0])
        counts: list[int] = json.loads(await self.reader.readexactly(length))
        return counts

    async def hear_refusal(self) -> bytes:
        """All until the connection is closed: what it still sends may push the answer off the wire."""
        try:
            async with asyncio.timeout(20):
                return await self.reader.read()
        except ConnectionError:
            return b""


@asynccontextmanager
async def call(port: int) -> AsyncIterator[Caller]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield Caller(reader, writer)
    finally:
        writer.transport.abort()


def name_headers(count: int, size: int) -> bytes:
    """`count` headers of about `size` bytes each."""
    return b"".join(b"x-%d: %s\r\n" % (each, b"a" * size) for each in range(count))


ENDLESS = {
    "address": b"POST /" + b"a" * LONG,
    "name": HEAD + b"x" * LONG,
    "value": HEAD + b"x: " + b"a" * LONG,
    "headers": HEAD + name_headers(LONG // 1000, 1000) + b"\r\n",
    "chunk": CHUNKED + b"5;" + b"a" * LONG,
    "trailer": CHUNKED + b"1\r\na\r\n0\r\nx: " + b"a" * LONG,
    "trailers": CHUNKED + b"1\r\na\r\n0\r\n" + name_headers(LONG // 1000, 1000) + b"\r\n",
}


@pytest.mark.parametrize("piece", [PIECE, 2**20])
@pytest.mark.parametrize("name", list(ENDLESS))
async def test_what_does_not_end_is_cut_off(port: int, name: str, piece: int) -> None:
    async with call(port) as caller:
        await caller.say(ENDLESS[name], piece=piece)
        answer = await caller.hear_refusal()
        assert answer[:12] in (b"HTTP/1.1 431", b"")
    async with call(port) as another:
        await another.say(HEAD + b"content-length: 1\r\n\r\na")
        assert await another.hear_answer() == [1, 2]


async def test_the_refusal_says_why_and_closes(port: int) -> None:
    async with call(port) as caller:
        headers = name_headers(66, 1000)
        assert len(headers) < MAX_HEADER_BYTES + PIECE
        await caller.say(HEAD + headers + b"\r\n")
        answer = await caller.hear_refusal()
    assert answer.startswith(b"HTTP/1.1 431 Request Header Fields Too Large\r\n")
    assert b"connection: close" in answer
    assert answer.endswith(b"The request's head is too long.")


async def test_what_is_no_http_is_still_400(port: int) -> None:
    async with call(port) as caller:
        await caller.say(b"\x16\x03\x01 hello\r\n\r\n")
        assert (await caller.hear_refusal()).startswith(b"HTTP/1.1 400")


@pytest.mark.parametrize("piece", [1000, PIECE, 2**20])
async def test_long_bodies_and_many_requests_are_no_long_heads(port: int, piece: int) -> None:
    requests: Sequence[tuple[bytes, list[int]]] = [
        (HEAD + b"content-length: %d\r\n\r\n" % LONG + b"a" * LONG, [LONG, 2]),
        (CHUNKED + b"".join(b"3e8\r\n%s\r\n" % (b"a" * 1000) for _ in range(200)), [200_000, 2]),
        (HEAD + name_headers(30, 1000) + b"content-length: 0\r\n\r\n", [0, 32]),
    ]
    async with call(port) as caller:
        for _ in range(3):
            for request, expected in requests:
                end = b"0\r\n\r\n" if request.startswith(CHUNKED) else b""
                await caller.say(request + end, piece=piece)
                assert await caller.hear_answer() == expected


async def test_requests_sent_ahead_are_answered_in_their_order(port: int) -> None:
    sizes = [1, 70_000, 3, 90_000, 5]
    async with call(port) as caller:
        requests = [HEAD + b"content-length: %d\r\n\r\n" % size + b"a" * size for size in sizes]
        saying = asyncio.create_task(caller.say(b"".join(requests)))
        assert [await caller.hear_answer() for _ in sizes] == [[size, 2] for size in sizes]
        await saying


async def test_a_body_that_comes_late_keeps_no_head_waiting(port: int) -> None:
    async with call(port) as caller:
        await caller.say(b"GET /slowly HTTP/1.1\r\nhost: v\r\nconnection: close\r\n\r\n")
        head = await caller.reader.readuntil(b"\r\n\r\n")
        assert b"transfer-encoding: chunked" in head
        rest = await caller.reader.read()
    assert rest == b"f\r\nHTTP/1.1 200 OK\r\nc\r\nHTTP/1.1 100\r\n3\r\nend\r\n0\r\n\r\n"


async def test_no_body_is_an_answer_too(port: int) -> None:
    async with call(port) as caller:
        await caller.say(b"HEAD / HTTP/1.1\r\nhost: v\r\n\r\n")
        head = await caller.reader.readuntil(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 200")
        await caller.say(HEAD + b"content-length: 1\r\n\r\na")
        assert await caller.hear_answer() == [1, 2]


async def test_who_waits_for_leave_to_send_gets_it_at_once(port: int) -> None:
    async with call(port) as caller:
        await caller.say(HEAD + b"expect: 100-continue\r\ncontent-length: 3\r\n\r\n")
        assert await caller.reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        await caller.say(b"abc")
        assert await caller.hear_answer() == [3, 3]
