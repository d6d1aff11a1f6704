"""Bodies that drip, bodies that are too many."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from vendor_api.app import create_app
from vendor_api.errors import VendorError, render
from vendor_api.metrics import Metrics
from vendor_api.middleware import BodyLimit, RequestRecord
from vendor_api.server import configure
from vendor_api.settings import VendorSettings

TIMEOUT_S = 0.3


class Service:
    """Counts what it is sent, and may be held up while it has a body in memory."""

    def __init__(self) -> None:
        self.gate = asyncio.Event()
        self.gate.set()
        self.holding = asyncio.Event()
        app = Starlette(routes=[Route("/", self.measure, methods=["POST"])])
        app.add_exception_handler(VendorError, self.refuse)
        app.add_middleware(BodyLimit, max_bytes=1000, max_inflight_bytes=1500, timeout_s=TIMEOUT_S)
        app.add_middleware(RequestRecord, metrics=Metrics())
        self.app = app

    async def measure(self, request: Request) -> JSONResponse:
        body = await request.body()
        self.holding.set()
        await self.gate.wait()
        return JSONResponse({"seen": len(body), "counted": request.state.body_bytes})

    async def refuse(self, request: Request, error: Exception) -> Any:
        assert isinstance(error, VendorError)
        return render(error, request.state.request_id)

    def connect(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.ASGITransport(self.app), base_url="http://v")


@asynccontextmanager
async def serve(service: Service) -> AsyncIterator[int]:
    """The service on a real socket: its port."""
    config = configure(service.app)
    config.port, config.lifespan = 0, "off"
    server = uvicorn.Server(config)
    serving = asyncio.create_task(server._serve())
    async with asyncio.timeout(20):
        while not server.started:  # noqa: ASYNC110  (uvicorn has no event for it)
            await asyncio.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        await serving


async def drip(pieces: list[bytes], pause: float) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece
        await asyncio.sleep(pause)


async def test_a_body_in_pieces_is_counted_as_it_comes() -> None:
    async with Service().connect() as http:
        answer = await http.post("/", content=drip([b"abc"] * 10, 0))
        assert answer.json() == {"seen": 30, "counted": 30}


async def test_a_body_that_drips_is_given_up() -> None:
    async with Service().connect() as http:
        answer = await http.post("/", content=drip([b"a"] * 100, 0.05))
    assert answer.status_code == 408
    assert answer.json()["code"] == "request_timeout"
    assert "within 0.3 s" in answer.json()["detail"]
    assert answer.headers["connection"] == "close"


async def test_a_slow_answer_is_no_slow_body() -> None:
    service = Service()
    service.gate.clear()
    async with service.connect() as http:
        asking = asyncio.create_task(http.post("/", content=b"abc"))
        await service.holding.wait()
        await asyncio.sleep(TIMEOUT_S * 1.5)
        service.gate.set()
        assert (await asking).status_code == 200


async def test_bodies_in_memory_are_bounded_together() -> None:
    service = Service()
    service.gate.clear()
    async with service.connect() as http:
        asking = asyncio.create_task(http.post("/", content=b"a" * 900))
        await service.holding.wait()
        refused = await http.post("/", content=b"a" * 900)
        assert refused.status_code == 503
        assert refused.json()["code"] == "overloaded"
        assert refused.headers["retry-after"] == "1"
        service.gate.set()
        assert (await asking).status_code == 200
        assert (await http.post("/", content=b"a" * 900)).status_code == 200  # all was given back


async def send_raw(port: int, data: bytes) -> bytes:
    """All that comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    answer = b""
    try:
        writer.write(data)
        async with asyncio.timeout(20):
            while piece := await reader.read(4096):
                answer += piece
    except ConnectionResetError:
        return answer or b"reset"
    finally:
        writer.transport.abort()
    return answer


async def test_a_dripping_connection_is_dropped() -> None:
    async with serve(Service()) as port:
        head = b"POST / HTTP/1.1\r\nhost: v\r\ncontent-length: 500\r\n\r\n"
        assert (await send_raw(port, head + b"abc")).startswith(b"HTTP/1.1 408")


@pytest.mark.parametrize("name", ["max_inflight_body_bytes", "body_timeout_s"])
def test_the_settings_reach_the_middleware(name: str) -> None:
    app = create_app(VendorSettings(**{name: 2048}), engines={})  # type: ignore[arg-type]
    found = [each.kwargs for each in app.user_middleware if "max_inflight_bytes" in each.kwargs]
    assert len(found) == 1
    assert 2048 in found[0].values()


async def test_the_loop_comes_round_between_an_answer_and_our_own_books() -> None:
    """uvloop writes then: a client does not wait for our counting."""
    order: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"half", "more_body": True})
        await send({"type": "http.response.body", "body": b"rest"})
        order.append("counted")

    async def send(message: Any) -> None:
        if message.get("body") == b"rest":
            asyncio.get_running_loop().call_soon(order.append, "written")

    async def receive() -> Any:
        raise AssertionError

    scope = {"type": "http", "method": "GET", "path": "/"}
    await RequestRecord(app, Metrics())(scope, receive, send)
    assert order == ["written", "counted"]
