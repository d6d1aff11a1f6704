"""A load generator that costs little: raw HTTP/1.1 over kept connections, bodies made beforehand."""

import asyncio
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from statistics import median

__all__ = ["Answer", "Line", "Run", "Server", "Wire", "run_closed", "run_once"]


@dataclass(frozen=True)
class Server:
    """Where to send, and what stands in every request's head."""

    port: int
    path: str
    headers: dict[str, str] = field(default_factory=dict)

    def write(self, body: bytes, extra: dict[str, str] | None = None) -> bytes:
        """A whole request."""
        named = {"host": f"127.0.0.1:{self.port}", "content-length": str(len(body))}
        lines = [f"POST {self.path} HTTP/1.1"]
        lines += [
            f"{name}: {value}" for name, value in (named | self.headers | (extra or {})).items()
        ]
        return "\r\n".join([*lines, "", ""]).encode() + body


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: dict[str, str]
    body: bytes
    seconds: float


@dataclass
class Run:
    """What a time of load brought."""

    seconds: float
    items: int
    latencies: list[float]
    statuses: dict[int, int]

    @property
    def rate(self) -> float:
        """Items a second, of answers with 200."""
        return self.items / self.seconds if self.items else 0.0

    def percentile(self, share: float) -> float:
        """Seconds within which that share of the answers came."""
        ordered = sorted(self.latencies)
        return (
            ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else float("nan")
        )

    @property
    def median(self) -> float:
        """Seconds of an answer in the middle."""
        return median(self.latencies) if self.latencies else float("nan")


class Line:
    """One kept connection; opened again when the server closes it."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._streams: tuple[asyncio.StreamReader, asyncio.StreamWriter] | None = None

    async def ask(self, request: bytes) -> Answer:
        """Send and wait for the answer."""
        began = time.perf_counter()
        if self._streams is None:
            self._streams = await asyncio.open_connection("127.0.0.1", self._port, limit=2**24)
        reader, writer = self._streams
        writer.write(request)
        await writer.drain()
        status, headers = _read_head(await reader.readuntil(b"\r\n\r\n"))
        body = await self._read_body(reader, headers)
        if headers.get("connection") == "close":
            self.close()
        return Answer(status, headers, body, time.perf_counter() - began)

    async def _read_body(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> bytes:
        if "content-length" in headers:
            return await reader.readexactly(int(headers["content-length"]))
        body = b""
        while size := int(await reader.readline(), 16):
            body += await reader.readexactly(size)
            await reader.readline()
        await reader.readline()
        return body

    def close(self) -> None:
        """End the connection."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None


class Wire:
    """One connection without an event loop, which would take its own time between two processes."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port))
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Answer:
        """Send and wait for the answer, which says its length; its last byte ends the time."""
        began = time.perf_counter()
        self._socket.sendall(request)
        received = bytearray()
        while b"\r\n\r\n" not in received:
            received += self._receive()
        end = received.index(b"\r\n\r\n") + 4
        status, headers = _read_head(received[:end])
        while len(received) < end + int(headers["content-length"]):
            received += self._receive()
        return Answer(status, headers, bytes(received[end:]), time.perf_counter() - began)

    def _receive(self) -> bytes:
        piece = self._socket.recv(65536)
        if not piece:
            raise ConnectionError("the server hung up before its answer had ended")
        return piece

    def close(self) -> None:
        """End the connection."""
        self._socket.close()


def _read_head(head: bytes | bytearray) -> tuple[int, dict[str, str]]:
    """Status and headers, their names in lower case."""
    first, *lines = head.decode("latin-1").split("\r\n")
    named = dict(line.split(": ", 1) for line in lines if ": " in line)
    return int(first.split()[1]), {name.lower(): value for name, value in named.items()}


async def run_once(port: int, request: bytes, seconds: float = 30) -> Answer:
    """One request on a connection of its own. Raises TimeoutError."""
    line = Line(port)
    try:
        async with asyncio.timeout(seconds):
            return await line.ask(request)
    finally:
        line.close()


async def run_closed(
    port: int,
    make: Callable[[int], bytes],
    *,
    callers: int,
    seconds: float,
    items: int = 1,
    first: int = 0,
) -> Run:
    """`callers` connections, each asking again as soon as it is answered, for that long.

    `make(number)`: the request; every number is used once, from `first` on. What is under way at the
    end is awaited and counted.
    """
    numbers = iter(range(first, 2**62))
    latencies: list[float] = []
    statuses: dict[int, int] = {}
    began = time.perf_counter()
    end = began + seconds
    last = began

    async def call() -> None:
        nonlocal last
        line = Line(port)
        while time.perf_counter() < end:
            answer = await line.ask(make(next(numbers)))
            now = time.perf_counter()
            statuses[answer.status] = statuses.get(answer.status, 0) + 1
            if answer.status == 200:
                latencies.append(answer.seconds)
                last = max(last, now)
        line.close()

    await asyncio.gather(*(call() for _ in range(callers)))
    return Run(last - began, statuses.get(200, 0) * items, latencies, statuses)
