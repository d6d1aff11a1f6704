"""A TCP proxy that misbehaves on demand: between a client and the vendor, or the vendor and its databases.

Its rules may be changed while connections are open; they are read for every piece of data.
"""

import asyncio
import socket
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Literal

Address = tuple[str, int] | str
"""Host and port, or the path of a UNIX socket."""
Direction = Literal["up", "down"]
"""Towards the server, or back from it."""
Pipe = tuple[asyncio.StreamReader, asyncio.StreamWriter]

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


@dataclass
class Rules:
    """What goes wrong; the default is that nothing does."""

    refuse: bool = False
    """New connections are reset at once."""
    frozen: bool = False
    """Nothing moves in either direction, and nobody is told."""
    drop: Direction | None = None
    """Data in this direction is read and thrown away."""
    delay_s: float = 0.0
    """Every piece of data waits this long."""
    drip_bytes: int = 0
    """Data moves in pieces of this size, each followed by `drip_s`; 0 lets it flow."""
    drip_s: float = 0.01
    truncate_after: int | None = None
    """A connection is closed once so many bytes have come back from the server."""
    cut_on: bytes = b""
    """The connection is reset towards the client as soon as this was handed to the server, once."""
    cut_after: bytes = b""
    """`cut_on` counts only on a connection where this was sent before it."""


@dataclass
class _Watch:
    """Looks for `cut_on` in what one connection sends, from behind `cut_after`."""

    rules: Rules
    tail: bytes = b""
    warned: bool = False

    def sees(self, data: bytes) -> bool:
        """Whether the connection is to be cut after this."""
        sent, self.tail = self.tail + data, data[-64:]
        first, last = self.rules.cut_after, self.rules.cut_on
        if first and not self.warned:
            _, found, sent = sent.partition(first)
            self.warned, self.tail = bool(found), sent[-64:] if found else self.tail
        return bool(last) and last in sent and (self.warned or not first)


@dataclass
class FaultProxy:
    """`with run_proxy(upstream) as proxy:` then connect to `proxy.port` and change `proxy.rules`."""

    upstream: Address
    rules: Rules = field(default_factory=Rules)
    port: int = 0
    cuts: int = 0
    """Connections that ended because `cut_on` was seen."""
    seen: int = 0
    """Connections accepted."""
    open: set[tuple[asyncio.StreamWriter, asyncio.StreamWriter]] = field(default_factory=set)
    loop: asyncio.AbstractEventLoop = field(default_factory=asyncio.new_event_loop)

    def reset(self) -> None:
        """Reset every open connection, on both sides."""
        self._each(reset)

    def half_close(self) -> None:
        """Tell every server that its client will send nothing more, and go on reading."""
        self._each(lambda _, upstream: upstream.write_eof())

    def close_clients(self) -> None:
        """End every connection towards the client in an orderly way."""
        self._each(lambda client, _: client.close())

    async def serve(self, started: threading.Event, stop: asyncio.Event) -> None:
        """Accept connections until `stop`."""
        server = await asyncio.start_server(self._accept, "127.0.0.1", 0)
        self.port = server.sockets[0].getsockname()[1]
        started.set()
        await stop.wait()
        server.close()
        for pair in list(self.open):
            for writer in pair:
                reset(writer)
        self.rules = Rules()
        others = asyncio.all_tasks() - {asyncio.current_task()}
        await asyncio.wait_for(asyncio.gather(*others, return_exceptions=True), 5)

    async def _accept(self, *client: *Pipe) -> None:
        self.seen += 1
        if self.rules.refuse:
            reset(client[1])
            return
        try:
            upstream = await self._connect()
        except OSError:
            reset(client[1])
            return
        pair = (client[1], upstream[1])
        self.open.add(pair)
        pumps = (self._pump(client, upstream, "up"), self._pump(upstream, client, "down"))
        await asyncio.gather(*pumps)
        self.open.discard(pair)
        for writer in pair:
            writer.close()

    async def _connect(self) -> Pipe:
        if isinstance(self.upstream, str):
            return await asyncio.open_unix_connection(self.upstream)
        return await asyncio.open_connection(*self.upstream)

    async def _pump(self, source: Pipe, target: Pipe, direction: Direction) -> None:
        passed, watch = 0, _Watch(self.rules)
        with suppress(OSError):
            while data := await source[0].read(65536):
                await self._wait()
                if self.rules.drop == direction:
                    continue
                limit = self.rules.truncate_after if direction == "down" else None
                room = len(data) if limit is None else max(0, limit - passed)
                await self._write(target[1], data[:room])
                passed += len(data)
                if room < len(data):
                    source[1].close()
                    target[1].close()
                    return
                if direction == "up" and watch.sees(data):
                    self._cut(source[1], target[1])
                    return
        with suppress(OSError):
            target[1].write_eof()

    def _cut(self, client: asyncio.StreamWriter, upstream: asyncio.StreamWriter) -> None:
        self.cuts += 1
        self.rules.cut_on = b""
        upstream.close()  # orderly, so that the server reads what was sent
        reset(client)

    async def _wait(self) -> None:
        if self.rules.delay_s:
            await asyncio.sleep(self.rules.delay_s)
        while self.rules.frozen:  # noqa: ASYNC110  (another thread thaws)
            await asyncio.sleep(0.01)

    async def _write(self, writer: asyncio.StreamWriter, data: bytes) -> None:
        step = self.rules.drip_bytes or len(data) or 1
        for start in range(0, len(data), step):
            writer.write(data[start : start + step])
            await writer.drain()
            if self.rules.drip_bytes:
                await asyncio.sleep(self.rules.drip_s)

    def _each(self, harm: Callable[[asyncio.StreamWriter, asyncio.StreamWriter], object]) -> None:
        done = threading.Event()

        def harm_all() -> None:
            for pair in list(self.open):
                # A connection that is gone already needs no harm done.
                with suppress(OSError, RuntimeError):
                    harm(*pair)
            done.set()

        self.loop.call_soon_threadsafe(harm_all)
        assert done.wait(5)


def reset(*writers: asyncio.StreamWriter) -> None:
    """Close with a RST; what was not sent is lost."""
    for writer in writers:
        peer = writer.get_extra_info("socket")
        if peer is not None and peer.family != socket.AF_UNIX and peer.fileno() >= 0:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        writer.transport.abort()


@contextmanager
def run_proxy(upstream: Address, rules: Rules | None = None) -> Iterator[FaultProxy]:
    """A proxy in a thread of its own, until the block ends."""
    proxy = FaultProxy(upstream, rules or Rules())
    started, stop = threading.Event(), asyncio.Event()
    thread = threading.Thread(
        target=proxy.loop.run_until_complete, args=(proxy.serve(started, stop),), daemon=True
    )
    thread.start()
    assert started.wait(10)
    try:
        yield proxy
    finally:
        proxy.loop.call_soon_threadsafe(stop.set)
        thread.join(10)
        proxy.loop.close()
