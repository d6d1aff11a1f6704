"""The route where embeddings are bought."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import APIRouter, Depends, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from shared.errors import ErrorCode
from shared.headers import IDEMPOTENCY_KEY
from shared.wire import EmbeddingRequest, EmbeddingResponse
from vendor_api import failpoints
from vendor_api.dependencies import (
    CurrentAdmission,
    CurrentPrincipal,
    CurrentShop,
    require_scope,
)
from vendor_api.embeddings.requests import parse_idempotency_key, parse_request
from vendor_api.embeddings.service import Call
from vendor_api.embeddings.work import ClientGone
from vendor_api.openapi import refer_to, responses

CLIENT_CLOSED_REQUEST = 499
"""Only ever seen in logs and metrics: nobody reads this answer."""

router = APIRouter(
    prefix="/v1", tags=["embeddings"], dependencies=[Depends(require_scope("embed"))]
)

__all__ = ["router"]

_BODY = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": refer_to(EmbeddingRequest)}},
    }
}


_ERRORS = responses(
    ErrorCode.INVALID_IMAGE,
    ErrorCode.INVALID_TEXT,
    ErrorCode.INSUFFICIENT_CREDIT,
    ErrorCode.SPEND_CAP_REACHED,
    ErrorCode.ACCOUNT_FROZEN,
    ErrorCode.MODEL_NOT_FOUND,
    ErrorCode.REQUEST_IN_FLIGHT,
    ErrorCode.REVISION_CHANGED,
    ErrorCode.NO_VALID_ITEM,
    ErrorCode.ITEMS_REFUSED,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ErrorCode.REPLAY_LIMIT,
    ErrorCode.OVERLOADED,
)


@router.post(
    "/embeddings", response_model=EmbeddingResponse, openapi_extra=_BODY, responses=_ERRORS
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
    async with _watch_client(request) as gone:
        call = Call(principal, asked, key, request.state.request_id, gone, admission)
        # A task of its own: if this handler is cancelled, a charge under way still ends well.
        paying = asyncio.create_task(shop.counter.respond(call))
        shop.running.add(paying)
        paying.add_done_callback(shop.running.discard)
        try:
            delivery = await asyncio.shield(paying)
        except ClientGone:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
    return _Answer(delivery.body, headers=delivery.headers, media_type="application/json")


class _Answer(Response):
    """Sent at once, unless a failpoint wants to be passed half-way through."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
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
async def _watch_client(request: Request) -> AsyncIterator[asyncio.Event]:
    """An event that is set when the client closes the connection; the body must have been read."""
    gone = asyncio.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        gone.set()

    watching = asyncio.create_task(watch())
    try:
        yield gone
    finally:
        watching.cancel()
