"""HTTP/1.1 by uvicorn's fast parser, with a bound that the parser itself lacks."""

from http import HTTPStatus

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEADER_BYTES = 64 * 1024
"""Request line and headers together; also what may come between two pieces of a body."""

__all__ = ["MAX_HEADER_BYTES", "BoundedProtocol"]

_SENTENCE = b"The request's head is too long."


class _HeadTooLong(Exception):
    pass


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
        super().on_headers_complete()

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
