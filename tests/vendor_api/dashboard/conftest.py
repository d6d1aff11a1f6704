"""People of each role in front of the fake vendor's dashboard."""

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from vendor_api.dashboard.visitors import COOKIE
from vendor_api.db import read_clock
from vendor_api.people.roster import Role, add_person
from vendor_api.people.sessions import make_csrf, open_session


@dataclass
class VisitorClient:
    """Somebody who is logged in, and their browser."""

    http: httpx.AsyncClient
    person_id: str
    csrf: str
    account_id: str
    """The fake vendor's customer."""

    async def get(self, path: str, **params: Any) -> httpx.Response:
        """The page."""
        return await self.http.get(path, params=params or None)

    async def json(self, path: str, **params: Any) -> Any:
        """The same page for programs."""
        answer = await self.http.get(
            path, params=params or None, headers={"accept": "application/json"}
        )
        assert answer.status_code == 200, answer.text
        return answer.json()

    async def post(self, path: str, fields: Mapping[str, str] | None = None) -> httpx.Response:
        """Send a form of the page, with its CSRF token; a redirect is not followed."""
        return await self.http.post(path, data={"csrf": self.csrf, **(fields or {})})


VisitorMaker = Callable[[Role], Awaitable[VisitorClient]]


@pytest.fixture
async def visitor_client(vendor: Any, shop: Any) -> AsyncIterator[VisitorMaker]:
    """`await visitor_client("finance")`: a person of that role, logged in."""
    async with AsyncExitStack() as stack:

        async def make(role: Role) -> VisitorClient:
            with shop.database.write() as connection:
                now = read_clock(connection)
                name = f"{role}-{now}"
                person = add_person(connection, now, name, role, "no password opens this")
                token = open_session(connection, now, person.id)
            client = httpx.AsyncClient(
                transport=httpx.ASGITransport(vendor.app),
                base_url="http://vendor",
                cookies={COOKIE: token},
                headers={"accept": "text/html"},
            )
            await stack.enter_async_context(client)
            return VisitorClient(client, person.id, make_csrf(token), shop.account.id)

        yield make
