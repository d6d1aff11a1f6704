"""What every request passes: an id, a byte-counted body limit, one line in the log, a last resort."""

import time
from typing import Any
from uuid import uuid4

import structlog
from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import headers
from shared.errors import ErrorCode
from vendor_api.errors import VendorError, render
from vendor_api.metrics import Metrics

__all__ = ["BodyLimit", "RequestRecord"]

_log = structlog.get_logger("vendor")


class RequestRecord:
    """Outermost: names the request, counts and logs its answer, turns a crash into the 500 envelope."""

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self.app = app
        self.metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request_id = f"req_{uuid4().hex}"
        scope.setdefault("state", {})["request_id"] = request_id
        began = time.perf_counter()
        status = 0

        async def send_named(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                MutableHeaders(scope=message)[headers.REQUEST_ID] = request_id
            await send(message)

        try:
            await self.app(scope, receive, send_named)
        except Exception:
            _log.exception("request_crashed", request_id=request_id, path=scope["path"])
            if status:
                raise
            error = VendorError(
                ErrorCode.INTERNAL, f"The service failed; quote {request_id} when you ask."
            )
            await render(error, request_id)(scope, receive, send_named)
        finally:
            self._record(scope, status, time.perf_counter() - began, request_id)

    def _record(self, scope: Scope, status: int, seconds: float, request_id: str) -> None:
        route = _route_of(scope)
        self.metrics.requests.labels(route, scope["method"], str(status)).inc()
        self.metrics.request_seconds.labels(route).observe(seconds)
        _log.info(
            "request",
            request_id=request_id,
            method=scope["method"],
            path=scope["path"],
            status=status,
            ms=round(seconds * 1000, 1),
        )


class BodyLimit:
    """Answers 413 once a body has more bytes than allowed, whatever its headers promise."""

    def __init__(self, app: ASGIApp, max_bytes: int) -> None:
        self.app = app
        self.max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        refusal = self._refuse(Headers(scope=scope))
        if refusal is not None:
            await render(refusal, scope["state"]["request_id"])(scope, receive, send)
            return
        seen = 0

        async def receive_counted() -> Message:
            nonlocal seen
            message = await receive()
            seen += len(message.get("body", b""))
            if seen > self.max_bytes:
                raise self._too_large()
            return message

        await self.app(scope, receive_counted, send)

    def _refuse(self, given: Headers) -> VendorError | None:
        length = given.get("content-length", "")
        if length.isdecimal() and int(length) > self.max_bytes:
            return self._too_large()
        if given.get("content-encoding", "identity") != "identity":
            return VendorError(ErrorCode.INVALID_REQUEST, "Send the body without content-encoding.")
        return None

    def _too_large(self) -> VendorError:
        return VendorError(
            ErrorCode.REQUEST_TOO_LARGE,
            f"A request's body may have {self.max_bytes} bytes: send fewer items at a time.",
        )


def _route_of(scope: Scope) -> str:
    """The route's pattern, never the caller's own path: a label must have few values."""
    route: Any = scope.get("route")
    return getattr(route, "path", "none")
