"""A vendor in this process, with or without Redis, and what its books say."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
from fastapi import FastAPI

from tests.conftest import PEPPER, Shop
from tests.structured_fields import parse_list
from tests.vendor_api.conftest import INFO, FakeModel, FakePreparation
from vendor_api.app import create_app
from vendor_api.auth import Authenticator
from vendor_api.auth.repository import issue_key
from vendor_api.db import read_clock
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import Batcher, BatcherLimits
from vendor_api.ledger import Ledger
from vendor_api.limits.breaker import COOLDOWN_S
from vendor_api.metrics import Metrics
from vendor_api.settings import VendorSettings

__all__ = ["Till", "open_till"]


@dataclass
class Till:
    """A running vendor and one customer's connection to it."""

    app: FastAPI
    http: httpx.AsyncClient
    metrics: Metrics

    async def buy(self, number: int) -> int:
        """One request of three items, two of them the same, one bought again and again."""
        body = {"model": INFO.id, "input": [f"text {number}", f"text {number}", "the same"]}
        headers = {"idempotency-key": f"k{number}"}
        answer = await self.http.post("/v1/embeddings", json=body, headers=headers)
        return answer.status_code

    async def scope(self) -> str:
        answer = await self.http.get("/v1/balance")
        policies = parse_list(answer.headers["ratelimit-policy"])
        return str(policies["requests"].get("vendor-scope", "shared"))

    def degraded(self) -> float | None:
        return self.metrics.registry.get_sample_value("vl2v_redis_degraded")

    async def until(self, scope: str) -> None:
        """Both what clients and what operators see; a busy machine may look like a dead Redis."""
        degraded = float(scope == "process")
        async with asyncio.timeout(120):
            while await self.scope() != scope or self.degraded() != degraded:  # noqa: ASYNC110
                await asyncio.sleep(COOLDOWN_S / 5)

    async def books(self) -> Any:
        """Everything of the account that must not depend on Redis."""
        balance = (await self.http.get("/v1/balance")).json()
        usage = (await self.http.get("/v1/usage")).json()
        charges = (await self.http.get("/v1/charges?limit=1000")).json()["data"]
        return (
            {name: value for name, value in balance.items() if name.endswith("_usd")},
            (usage["total_items"], usage["total_cost_usd"]),
            sorted(
                (row["idempotency_key"], row["state"], row["cost_usd"], row["texts"])
                for row in charges
            ),
        )


@asynccontextmanager
async def open_till(url: str, shop: Shop, name: str, redis_url: str | None) -> AsyncIterator[Till]:
    """A vendor process with or without Redis, and a fresh account with a dollar."""
    account = shop.open_account(name, "1.00")
    with shop.database.write() as connection:
        key = issue_key(connection, read_clock(connection), PEPPER, account.id, name=name)
    engine = Batcher(FakeModel(), limits=BatcherLimits(max_images=4, max_texts=4))
    ledger, metrics = Ledger.open(url), Metrics()
    authenticator = Authenticator.open(url, PEPPER)
    app = create_app(
        VendorSettings(redis_url=redis_url),
        engines={INFO.id: ServedModel(INFO, FakePreparation(), engine)},
        ledger=ledger,
        authenticator=authenticator,
        metrics=metrics,
    )
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(
            transport=httpx.ASGITransport(app),
            base_url="http://vendor",
            headers={"authorization": f"Bearer {key.text}"},
        ) as http,
    ):
        yield Till(app, http, metrics)
    await authenticator.close()
    await ledger.close()
    await asyncio.to_thread(engine.close, 30)
