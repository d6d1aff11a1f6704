"""`/v1/embed/image` and `/v1/embed/text`: octets in, octets out, sold as `/v1/embeddings` sells them.

Bare ASGI: at one small image a request, FastAPI and JSON would cost more than the door itself.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import cast, get_args

from starlette.datastructures import QueryParams
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from shared import headers
from shared.codecs import EmbedDtype
from shared.errors import ErrorCode
from shared.wire import Modality
from vendor_api.auth.access import check_scope
from vendor_api.dependencies import Shop, admit, recognise
from vendor_api.embeddings.departure import Departure
from vendor_api.embeddings.description import PATHS
from vendor_api.embeddings.endpoints import CLIENT_CLOSED_REQUEST, answer
from vendor_api.embeddings.requests import parse_idempotency_key
from vendor_api.embeddings.service import Call
from vendor_api.embeddings.terms import Terms
from vendor_api.embeddings.uploads import Upload, find_kind
from vendor_api.errors import VendorError

QUERIES = 64
"""What they mean is remembered: a client asks the same way again and again."""

_DTYPES = get_args(EmbedDtype)
_FLAGS = {"true": True, "1": True, "false": False, "0": False}

__all__ = ["BinaryRoute", "routes"]


def routes() -> list[Route]:
    """Both routes, for the app's router."""
    return [
        Route(path, BinaryRoute(modality, path), methods=["POST"], include_in_schema=False)
        for modality, path in PATHS.items()
    ]


@dataclass(frozen=True, slots=True)
class BinaryRoute:
    """One of the routes, as an ASGI app."""

    modality: Modality
    path: str

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Run one request. Raises VendorError."""
        scope["route"] = self  # its path names the request in metrics
        request = Request(scope, receive, send)
        await (await self._sell(request))(scope, receive, send)

    async def _sell(self, request: Request) -> Response:
        shop: Shop = request.app.state.shop
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        bearer = key.strip() if scheme.lower() == "bearer" else None
        principal = await recognise(request, shop, bearer)
        admission = await admit(request, shop, principal)
        check_scope(principal, "embed")
        terms = read_query(request)
        named = parse_idempotency_key(request.headers.get(headers.IDEMPOTENCY_KEY))
        kind = find_kind(self.modality, request.headers.get("content-type", ""))
        try:
            body = await request.body()
        except ClientDisconnect:
            return Response(status_code=CLIENT_CLOSED_REQUEST)
        given = request.headers
        upload = Upload(kind, body, given.get(headers.SHAPE, ""), given.get(headers.DTYPE, ""))
        call = Call(
            principal,
            terms,
            upload.read,
            upload.is_quick,
            named,
            request.state.request_id,
            Departure(),
            admission,
            request.state.watch,
        )
        return await answer(request, shop, call)


def read_query(request: Request) -> Terms:
    """`?model=…&dtype=float16&atomic=true&partial_ok=true`. Raises VendorError."""
    return _read_query(request.scope["query_string"])


@lru_cache(QUERIES)
def _read_query(written: bytes) -> Terms:
    query = QueryParams(written)
    unknown = query.keys() - {"model", "dtype", "atomic", "partial_ok"}
    if unknown:
        raise _invalid(f"There is no parameter {min(unknown)!r}.", min(unknown))
    if not query.get("model"):
        raise _invalid("Name the model in the address: `?model=ID`.", "model")
    dtype = query.get("dtype", "float32")
    if dtype not in _DTYPES:
        raise _invalid(f"`dtype` is one of {', '.join(_DTYPES)}.", "dtype")
    return Terms(
        query["model"],
        "bytes_only",
        cast("EmbedDtype", dtype),
        atomic=_read_flag(query, "atomic"),
        partial_ok=_read_flag(query, "partial_ok"),
    )


def _read_flag(query: QueryParams, name: str) -> bool:
    value = query.get(name, "false").lower()
    if value not in _FLAGS:
        raise _invalid(f"`{name}` is true or false.", name)
    return _FLAGS[value]


def _invalid(detail: str, param: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_REQUEST, detail, param=param)
