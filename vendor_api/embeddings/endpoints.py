"""The route where embeddings are bought."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.headers import IDEMPOTENCY_KEY
from shared.wire import EmbeddingRequest, EmbeddingResponse
from vendor_api import failpoints
from vendor_api.dependencies import (
    CurrentAdmission,
    CurrentPrincipal,
    CurrentShop,
    Shop,
    require_scope,
)
from vendor_api.embeddings.answer import Delivery
from vendor_api.embeddings.departure import Departure
from vendor_api.embeddings.description import ERRORS, IN_OCTETS
from vendor_api.embeddings.requests import parse_idempotency_key, parse_request, read_items
from vendor_api.embeddings.service import Call
from vendor_api.embeddings.terms import read_terms
from vendor_api.embeddings.work import ClientGone
from vendor_api.openapi import refer_to, responses

CLIENT_CLOSED_REQUEST = 499
"""Only ever seen in logs and metrics: nobody reads this answer."""

QUICK_BYTES = 4096
"""Of JSON: what so short a body holds is read at once."""

router = APIRouter(
    prefix="/v1", tags=["embeddings"], dependencies=[Depends(require_scope("embed"))]
)

__all__ = ["CLIENT_CLOSED_REQUEST", "answer", "router"]

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": refer_to(EmbeddingRequest)}},
    }
}


_RESPONSES: dict[int | str, dict[str, Any]] = {200: {"content": IN_OCTETS}, **responses(*ERRORS)}


@router.post(
    "/embeddings", response_model=EmbeddingResponse, openapi_extra=_BODY, responses=_RESPONSES
)
async def create_embeddings(
    request: Request, shop: CurrentShop, principal: CurrentPrincipal, admission: CurrentAdmission
) -> Response:
    """Unit-length vectors of texts and images, in the order asked, each paid for once."""
    key = parse_idempotency_key(request.headers.get(IDEMPOTENCY_KEY))
    try:
        body = await request.body()
    except ClientDisconnect:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    asked = parse_request(body)
    call = Call(
        principal,
        read_terms(asked),
        lambda info: read_items(asked),
        len(body) <= QUICK_BYTES,
        key,
        request.state.request_id,
        Departure(),
        admission,
        request.state.watch,
    )
    return await answer(request, shop, call)


async def answer(request: Request, shop: Shop, call: Call) -> Response:
    """Sell what the call asks for and answer; the request's body must have been read."""
    # A task of its own: if this handler is cancelled, a charge under way still ends well.
    paying = asyncio.create_task(shop.counter.respond(call))
    shop.running.add(paying)
    paying.add_done_callback(shop.running.discard)
    async with _watch_client(request, call.gone):
        try:
            delivery = await asyncio.shield(paying)
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
    return _Answer(delivery)


class _Answer(Response):
    """Sent at once, unless a failpoint wants to be passed half-way through."""

    def __init__(self, delivery: Delivery) -> None:
        super().__init__(delivery.body, headers=delivery.headers, media_type=delivery.media_type)
        self._afterwards = delivery.afterwards

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._send(scope, receive, send)
        finally:
            self._afterwards()

    async def _send(self, scope: Scope, receive: Receive, send: Send) -> None:
        if not failpoints.is_armed("mid_body"):
            await super().__call__(scope, receive, send)
            return
        body, middle = bytes(self.body), len(self.body) // 2
        start = {"type": "http.response.start", "status": self.status_code}
        await send({**start, "headers": self.raw_headers})
        await send({"type": "http.response.body", "body": body[:middle], "more_body": True})
        await failpoints.pause("mid_body")
        await send({"type": "http.response.body", "body": body[middle:]})


@asynccontextmanager
async def _watch_client(request: Request, gone: Departure) -> AsyncIterator[None]:
    """Notes in `gone` that the client closes the connection."""

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.note()

    watching = asyncio.create_task(watch())
    try:
        yield
    finally:
        watching.cancel()
