"""Several servers' applications on one database, with operators and customers at their doors."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass

import httpx
from fastapi import FastAPI

from tests.vendor_api.conftest import INFO, FakeModel, FakePreparation
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher, BatcherLimits
from vendor_api.ledger import Ledger
from vendor_api.settings import VendorSettings


@dataclass
class Office:
    """One server's application."""

    app: FastAPI
    stack: AsyncExitStack

    async def connect(self, key: str | None = None) -> httpx.AsyncClient:
        """A connection that bears the key."""
        client = httpx.AsyncClient(
            transport=httpx.ASGITransport(self.app),
            base_url="http://vendor",
            headers={} if key is None else {"authorization": f"Bearer {key}"},
        )
        return await self.stack.enter_async_context(client)


@asynccontextmanager
async def open_office(database_url: str, pepper: bytes) -> AsyncIterator[Office]:
    """A server's application with a ledger and a batcher of its own."""
    ledger = Ledger.open(database_url)
    authenticator = Authenticator.open(database_url, pepper)
    batcher = Batcher(FakeModel(), limits=BatcherLimits(max_images=4, max_texts=4))
    app = create_app(
        VendorSettings(decode_threads=1, audit_seconds=0),
        engines={INFO.id: ServedModel(INFO, FakePreparation(), batcher)},
        ledger=ledger,
        authenticator=authenticator,
    )
    async with AsyncExitStack() as stack:
        stack.callback(batcher.close, 30)
        stack.push_async_callback(ledger.close)
        stack.push_async_callback(authenticator.close)
        await stack.enter_async_context(app.router.lifespan_context(app))
        yield Office(app, stack)


async def buy(http: httpx.AsyncClient, *texts: str, key: str | None = None) -> httpx.Response:
    """POST /v1/embeddings for these texts."""
    headers = {} if key is None else {"idempotency-key": key}
    body = {"model": INFO.id, "input": list(texts)}
    return await http.post("/v1/embeddings", json=body, headers=headers)
