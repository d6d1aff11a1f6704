"""What can be asked of a vendor, one small class per noun; each call is awaited."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, TypeVar

from client.api import endpoints, resources
from client.api.calls import Answer, Call, Request
from client.api.described import describe, name_methods
from client.api.resources import PAGE
from shared.wire import ChargeDocument

P = ParamSpec("P")
T = TypeVar("T")
Send = Callable[[Call], Awaitable[tuple[Answer, int]]]

__all__ = [
    "AsyncAccounts",
    "AsyncBalances",
    "AsyncCharges",
    "AsyncEmbeddings",
    "AsyncImages",
    "AsyncModels",
    "AsyncUsages",
]


class _AsyncResource:
    def __init__(self, send: Send) -> None:
        self._send = send

    def __init_subclass__(cls) -> None:
        name_methods(cls)


def _awaited(
    build: Callable[P, Request[T]],
) -> Callable[Concatenate[Any, P], Coroutine[Any, Any, T]]:
    async def method(self: _AsyncResource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        # Files are read, pictures and bodies encoded: other tasks go on meanwhile.
        request = await asyncio.to_thread(build, *args, **kwargs)
        return request.read(*await self._send(request.call))

    return describe(method, build)


class AsyncEmbeddings(_AsyncResource):
    __doc__ = resources.Embeddings.__doc__
    create = _awaited(endpoints.create_embeddings)


class AsyncImages(_AsyncResource):
    __doc__ = resources.Images.__doc__
    embed = _awaited(endpoints.embed_images)
    embed_pixels = _awaited(endpoints.embed_pixels)


class AsyncModels(_AsyncResource):
    __doc__ = resources.Models.__doc__
    list = _awaited(endpoints.list_models)
    get = _awaited(endpoints.get_model)


class AsyncBalances(_AsyncResource):
    __doc__ = resources.Balances.__doc__
    get = _awaited(endpoints.get_balance)


class AsyncAccounts(_AsyncResource):
    __doc__ = resources.Accounts.__doc__
    export = _awaited(endpoints.export_account)


class AsyncUsages(_AsyncResource):
    __doc__ = resources.Usages.__doc__
    get = _awaited(endpoints.get_usage)


class AsyncCharges(_AsyncResource):
    __doc__ = resources.Charges.__doc__
    list = _awaited(endpoints.list_charges)
    get = _awaited(endpoints.get_charge)

    async def iterate(
        self, *, after: str | None = None, page: int = PAGE
    ) -> AsyncIterator[ChargeDocument]:
        """Every charge, oldest first, from behind the one with the id `after`; asked a page at a time."""
        more = True
        while more:
            found = await self.list(after=after, limit=page)
            for charge in found.data:
                yield charge
            more = found.has_more and bool(found.data)
            after = found.data[-1].id if more else None
