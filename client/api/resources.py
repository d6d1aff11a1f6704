"""What can be asked of a vendor, one small class per noun; each call waits for its answer."""

from collections.abc import Callable, Iterator
from typing import Any, Concatenate, ParamSpec, TypeVar

from client.api import endpoints
from client.api.calls import Answer, Call, Request
from client.api.described import describe, name_methods
from shared.wire import ChargeDocument

P = ParamSpec("P")
T = TypeVar("T")
Send = Callable[[Call], tuple[Answer, int]]

PAGE = 1000
"""Charges a page: the most that the vendor gives at once."""

__all__ = ["PAGE", "Accounts", "Balances", "Charges", "Embeddings", "Images", "Models", "Usages"]


class _Resource:
    def __init__(self, send: Send) -> None:
        self._send = send

    def __init_subclass__(cls) -> None:
        name_methods(cls)


def _sent(build: Callable[P, Request[T]]) -> Callable[Concatenate[Any, P], T]:
    def method(self: _Resource, /, *args: P.args, **kwargs: P.kwargs) -> T:
        request = build(*args, **kwargs)
        return request.read(*self._send(request.call))

    return describe(method, build)


class Embeddings(_Resource):
    """Vectors of texts and images."""

    create = _sent(endpoints.create_embeddings)


class Images(_Resource):
    """Vectors of pictures."""

    embed = _sent(endpoints.embed_images)
    embed_pixels = _sent(endpoints.embed_pixels)


class Models(_Resource):
    """Models on sale."""

    list = _sent(endpoints.list_models)
    get = _sent(endpoints.get_model)


class Balances(_Resource):
    """The account's money."""

    get = _sent(endpoints.get_balance)


class Accounts(_Resource):
    """The account as a whole."""

    export = _sent(endpoints.export_account)


class Usages(_Resource):
    """What was embedded, hour by hour."""

    get = _sent(endpoints.get_usage)


class Charges(_Resource):
    """Paid requests as the vendor's ledger holds them."""

    list = _sent(endpoints.list_charges)
    get = _sent(endpoints.get_charge)

    def iterate(self, *, after: str | None = None, page: int = PAGE) -> Iterator[ChargeDocument]:
        """Every charge, oldest first, from behind the one with the id `after`; asked a page at a time."""
        more = True
        while more:
            found = self.list(after=after, limit=page)
            yield from found.data
            more = found.has_more and bool(found.data)
            after = found.data[-1].id if more else None
