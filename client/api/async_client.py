"""The awaiting client of a vendor: the blocking one's methods, for one event loop."""

import asyncio
import copy
import time
from collections.abc import Awaitable, Callable
from typing import Self

from client.api.async_resources import (
    AsyncAccounts,
    AsyncBalances,
    AsyncCharges,
    AsyncEmbeddings,
    AsyncImages,
    AsyncModels,
    AsyncUsages,
)
from client.api.calls import Answer, Call, new_key
from client.api.configuration import accept, configure, draw_delay
from client.api.errors import APIConnectionError, APIStatusError
from client.api.http import AsyncConnection, AsyncTransport
from client.api.retry import DEADLINE, MAX_RETRIES, TIMEOUT, Retry, RetryPolicy, Tries, ignore

__all__ = ["AsyncVendorClient"]


class AsyncVendorClient:
    """Buy embeddings: `await client.embeddings.create(...)`, `await client.images.embed(...)`.

    Everything is as in `VendorClient`, with the same bytes on the wire; in a notebook, which has a
    running event loop, `await` works at once. Use it in one event loop. Close it with
    `await client.close()`, or use it in `async with`.
    """

    def __init__(  # noqa: PLR0913  (one parameter a setting)
        self,
        *,
        api_key: str | None = None,
        base_url: str | None = None,
        timeout: float = TIMEOUT,
        deadline: float = DEADLINE,
        max_retries: int = MAX_RETRIES,
        transport: AsyncTransport | None = None,
        insecure: bool | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
        make_key: Callable[[], str] = new_key,
        on_retry: Callable[[Retry], object] = ignore,
    ) -> None:
        policy = RetryPolicy(timeout, deadline, max_retries)
        self._configuration = configure(
            api_key=api_key,
            base_url=base_url,
            insecure=insecure,
            policy=policy,
            make_key=make_key,
        )
        self.base_url = self._configuration.base_url
        self._connection = AsyncConnection(self.base_url, transport=transport)
        self._clock = clock
        self._sleep = sleep
        self._on_retry = on_retry
        self._open_resources()

    def _open_resources(self) -> None:
        self.embeddings = AsyncEmbeddings(self.send)
        self.images = AsyncImages(self.send)
        self.models = AsyncModels(self.send)
        self.balance = AsyncBalances(self.send)
        self.usage = AsyncUsages(self.send)
        self.account = AsyncAccounts(self.send)
        self.charges = AsyncCharges(self.send)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """Let go of every connection."""
        await self._connection.close()

    def with_options(
        self,
        *,
        timeout: float | None = None,
        deadline: float | None = None,
        max_retries: int | None = None,
    ) -> Self:
        """The same client over the same connections, with other limits: for one call, or many."""
        other = copy.copy(self)
        other._configuration = self._configuration.change(
            timeout=timeout, deadline=deadline, max_retries=max_retries
        )
        other._open_resources()
        return other

    async def send(self, call: Call) -> tuple[Answer, int]:
        """The answer to a call and how often it was tried again. Raises VendorError."""
        call = self._configuration.prepare(call)
        tries = Tries(self._configuration.policy, began=self._clock())
        while True:
            began = self._clock()
            timeout = tries.start(began)
            try:
                answer = await self._connection.send(call, self._configuration.headers, timeout)
                return accept(answer), tries.retries
            except (APIConnectionError, APIStatusError) as error:
                now = self._clock()
                delay = draw_delay(tries, error, now=now)
                if delay is None:
                    raise
                self._on_retry(Retry(error, now - began, delay))
            await self._sleep(delay)
