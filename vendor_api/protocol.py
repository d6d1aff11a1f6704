"""HTTP/1.1 by uvicorn's fast parser, with a bound that the parser lacks, and answers in one write."""

import asyncio
from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 * 1024
"""Request line and headers together; also what may come between two pieces of a body."""

__all__ = ["MAX_HEADER_BYTES", "BoundedProtocol"]

_SENTENCE = b"The request's head is too long."


class _HeadTooLong(Exception):
    pass


class _Joined(asyncio.Transport):
    """Keeps the head of one answer until its body comes, in the same turn of the loop if it can.

    Two writes are two system calls, and wake a client twice.
    """

    def __init__(self, transport: asyncio.Transport, loop: asyncio.AbstractEventLoop) -> None:
        super().__init__()
        self._transport = transport
        self._loop = loop
        self._head = b""
        self._begun = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """See `asyncio.Transport`."""
        if self._begun:
            head, self._head = self._head, b""
            self._transport.write(head + data if head else data)
        elif data[:10] == b"HTTP/1.1 1":  # "100 Continue" is waited for, and no answer yet
            self._transport.write(data)
        else:
            self._begun, self._head = True, bytes(data)
            self._loop.call_soon(self._flush)

    def close(self) -> None:
        """See `asyncio.Transport`."""
        self._flush()
        self._transport.close()

    def is_closing(self) -> bool:
        """See `asyncio.Transport`."""
        return self._transport.is_closing()

    def _flush(self) -> None:
        head, self._head = self._head, b""
        if head and not self._transport.is_closing():
            self._transport.write(head)


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 and closes when a head, a trailer or a chunk's extension is too long.

    The parser keeps what has no end yet, so bytes are counted that have led to nothing; and what has
    an end is counted by name and value.
    """

    _idle_bytes = 0
    """Received since a message last began, its head or itself ended, or some of its body came."""
    _heard = False
    """Whether any of that has happened in the data that is being read."""
    _named_bytes = 0
    _too_long = False

    def data_received(self, data: bytes) -> None:
        """See `asyncio.Protocol`."""
        self._heard = False
        super().data_received(data)
        # How much of the data came after what was heard is not known; it is no more than one read.
        self._idle_bytes = 0 if self._heard else self._idle_bytes + len(data)
        if self._idle_bytes > MAX_HEADER_BYTES and not self.transport.is_closing():
            self._refuse()

    def on_message_begin(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._idle_bytes = self._named_bytes = 0
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """See `httptools.HttpRequestParser`."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """See `httptools.HttpRequestParser`."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._heard = True
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before:
            self.cycle.transport = _Joined(self.transport, self.loop)

    def on_body(self, body: bytes) -> None:
        """See `httptools.HttpRequestParser`."""
        self._heard = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        """See `httptools.HttpRequestParser`."""
        self._heard = True
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Called by uvicorn for what the parser refuses, or what a callback of this class does."""
        if self._too_long:
            self._refuse()
        else:
            super().send_400_response(msg)

    def _count(self, size: int) -> None:
        self._named_bytes += size
        if self._named_bytes > MAX_HEADER_BYTES:
            self._too_long = True
            raise _HeadTooLong

    def _refuse(self) -> None:
        status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
        self.transport.write(
            b"HTTP/1.1 %d %s\r\ncontent-type: text/plain\r\ncontent-length: %d\r\nconnection: close\r\n\r\n%s"
            % (status, status.phrase.encode(), len(_SENTENCE), _SENTENCE)
        )
        self.transport.close()
