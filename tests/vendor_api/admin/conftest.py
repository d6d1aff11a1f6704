"""Operators at the door of the fake vendor."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from vendor_api.auth.keys import IssuedKey
from vendor_api.auth.operators import issue_operator
from vendor_api.db import read_clock


@dataclass
class Office:
    """The vendor seen by an admin, a viewer, a customer, and nobody in particular."""

    admin: httpx.AsyncClient
    viewer: httpx.AsyncClient
    customer: httpx.AsyncClient
    anonymous: httpx.AsyncClient
    admin_key: IssuedKey
    vendor: Any
    account_id: str

    async def credit(self, usd: str, ref: str, **more: object) -> httpx.Response:
        """POST a credit to the vendor's account."""
        body = {"amount_usd": usd, "external_ref": ref, **more}
        return await self.admin.post(f"/v1/admin/accounts/{self.account_id}/credits", json=body)

    async def balance(self) -> Any:
        """The account as an operator sees it."""
        return (await self.admin.get(f"/v1/admin/accounts/{self.account_id}")).json()

    async def last_action(self) -> Any:
        """The youngest line of the audit log."""
        return (await self.admin.get("/v1/admin/audit-log?limit=1000")).json()["data"][-1]


@pytest.fixture
async def office(vendor: Any, shop: Any, pepper: bytes) -> AsyncIterator[Office]:
    """An admin's and a viewer's connections beside the customer's."""
    with shop.database.write() as connection:
        now = read_clock(connection)
        admin = issue_operator(connection, now, pepper, name="eva", role="admin")
        viewer = issue_operator(connection, now, pepper, name="vic", role="viewer")
    async with AsyncExitStack() as stack:

        async def connect(key: str | None) -> httpx.AsyncClient:
            headers = {} if key is None else {"authorization": f"Bearer {key}"}
            transport = httpx.ASGITransport(vendor.app)
            client = httpx.AsyncClient(
                transport=transport, base_url="http://vendor", headers=headers
            )
            return await stack.enter_async_context(client)

        yield Office(
            await connect(admin.text),
            await connect(viewer.text),
            vendor.http,
            await connect(None),
            admin,
            vendor,
            shop.account.id,
        )
