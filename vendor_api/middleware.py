"""What every request passes: an id, a line in the log, a last resort, its limits, its body's bounds."""

import asyncio
import time
from typing import Any

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from uuid_utils import uuid7

from shared import headers
from shared.errors import ErrorCode
from vendor_api import notes
from vendor_api.errors import VendorError, render
from vendor_api.metrics import Metrics
from vendor_api.pulse import is_sale
from vendor_api.stopwatch import Stopwatch

__all__ = ["BodyLimit", "RequestRecord", "Turnstile"]

_log = structlog.get_logger("vendor")


class RequestRecord:
    """Names the request, counts and logs its answer, turns a crash into the 500 envelope."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid7().hex}"  # begins with its time, so that its charge is found by it
        scope.setdefault("state", {}).update(request_id=request_id, watch=Stopwatch())
        notes.begin(request_id)
        began = time.perf_counter()
        status = 0
        pulse = self.metrics.pulse if is_sale(scope["path"]) else None
        if pulse is not None:
            pulse.begin()

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[headers.REQUEST_ID] = request_id
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                # uvloop writes when the loop has come round: before our own books, not behind them.
                await asyncio.sleep(0)

        try:
            await self.app(scope, receive, send_named)
        except Exception:
            _log.exception("request_crashed", path=scope["path"])
            if status:
                raise
            error = VendorError(
                ErrorCode.INTERNAL, f"The service failed; quote {request_id} when you ask."
            )
            await render(error, request_id)(scope, receive, send_named)
        finally:
            seconds = time.perf_counter() - began
            if pulse is not None:
                pulse.end(status, seconds)
            self._record(scope, status, seconds)

    def _record(self, scope: Scope, status: int, seconds: float) -> None:
        route = _route_of(scope)
        self.metrics.observe_answer(route, scope["method"], status, seconds)
        # Who asked, for how many items, what it cost: the request's notes.
        _log.info(
            "request",
            method=scope["method"],
            route=route,
            path=scope["path"],
            status=status,
            duration_ms=round(seconds * 1000, 1),
        )


class Turnstile:
    """Writes what the key's limits said on the answer, and lets the request out however it ends."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        state = scope.setdefault("state", {})

        async def send_limits(message: Message) -> None:
            if message["type"] == "http.response.start" and "admission" in state:
                MutableHeaders(scope=message).update(state["admission"].headers())
            await send(message)

        try:
            await self.app(scope, receive, send_limits)
        finally:
            if "admission" in state:
                state["admission"].leave()


class BodyLimit:
    """Bounds a body's bytes, its time, and the bytes of all bodies under way, whatever headers say."""

    def __init__(
        self, app: ASGIApp, *, max_bytes: int, max_inflight_bytes: int, timeout_s: float
    ) -> None:
        self.app = app
        self.max_bytes = max_bytes
        self.max_inflight_bytes = max_inflight_bytes
        self.timeout_s = timeout_s
        self.inflight_bytes = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refuse(Headers(scope=scope))
        if refusal is not None:
            await render(refusal, scope["state"]["request_id"])(scope, receive, send)
            return
        body = _Body(self, receive, scope["state"])
        try:
            await self.app(scope, body.receive, send)
        finally:
            self.inflight_bytes -= body.seen

    def _refuse(self, given: Headers) -> VendorError | None:
        length = given.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_bytes:
            return self.too_large()
        if given.get("content-encoding", "identity") != "identity":
            return VendorError(ErrorCode.INVALID_REQUEST, "Send the body without content-encoding.")
        return None

    def too_large(self) -> VendorError:
        """The refusal of a body that is too long."""
        return VendorError(
            ErrorCode.REQUEST_TOO_LARGE,
            f"A request's body may have {self.max_bytes} bytes: send fewer items at a time.",
        )

    def too_slow(self) -> VendorError:
        """The refusal of a body that drips in; its connection is of no more use."""
        return VendorError(
            ErrorCode.REQUEST_TIMEOUT,
            f"The body did not arrive within {self.timeout_s:g} s; nothing was charged. "
            "Send it again, in smaller parts if your connection is slow.",
            headers={"connection": "close"},
        )

    def too_many(self) -> VendorError:
        """The refusal of a body that there is no room for now."""
        return VendorError(
            ErrorCode.OVERLOADED,
            "The service is receiving too many bytes at once; nothing was charged. "
            "Send the same request again.",
            retry_after_s=1.0,
            headers={"connection": "close"},
        )


class _Body:
    """One request's body on its way in."""

    def __init__(self, limit: BodyLimit, receive: Receive, state: dict[str, Any]) -> None:
        self._limit = limit
        self._receive = receive
        self._state = state
        self._deadline: float | None = None
        self._complete = False
        self.seen = 0
        state["body_bytes"] = 0

    async def receive(self) -> Message:
        """The next message, counted."""
        if self._complete:  # what still comes is the end of the connection
            return await self._receive()
        if self._deadline is None:
            self._deadline = asyncio.get_running_loop().time() + self._limit.timeout_s
        try:
            async with asyncio.timeout_at(self._deadline):
                message = await self._receive()
        except TimeoutError:
            raise self._limit.too_slow() from None
        self._count(len(message.get("body", b"")))
        self._complete = not message.get("more_body", False)
        return message

    def _count(self, size: int) -> None:
        self.seen += size
        self._limit.inflight_bytes += size
        self._state["body_bytes"] = self.seen
        if self.seen > self._limit.max_bytes:
            raise self._limit.too_large()
        if self._limit.inflight_bytes > self._limit.max_inflight_bytes:
            raise self._limit.too_many()


def _route_of(scope: Scope) -> str:
    """The route's pattern, never the caller's own path: a label must have few values."""
    route: Any = scope.get("route")
    return getattr(route, "path", "none")
