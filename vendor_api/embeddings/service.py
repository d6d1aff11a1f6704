"""One paid request, top to bottom."""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import NoReturn

from shared.digests import digest_request
from shared.errors import ErrorCode
from shared.wire import EmbeddingRequest
from vendor_api.auth.access import check_model
from vendor_api.auth.service import Principal
from vendor_api.coverage import Coverage
from vendor_api.embeddings.answer import Delivery, find_problems, write_answer
from vendor_api.embeddings.requests import Ask, count_refused, read_items
from vendor_api.embeddings.work import Work, refuse_all
from vendor_api.engine.base import ModelInfo, ServedModel
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import REQUEST_SECONDS
from vendor_api.limits.limiter import Admission
from vendor_api.metering.quote import Asked, Quote, quote_items
from vendor_api.metering.service import Meter, NothingDelivered, Order, Settlement
from vendor_api.metrics import Metrics
from vendor_api.models.service import Catalogue

__all__ = ["Call", "Counter"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request with everything its headers say."""

    principal: Principal
    request: EmbeddingRequest
    idempotency_key: str | None
    """None: the request cannot be replayed, and the vendor names it itself."""
    request_id: str
    gone: asyncio.Event
    """Set when the client has closed the connection."""
    admission: Admission
    """What the limits of the key say."""


class Counter:
    """Where embeddings are sold."""

    def __init__(
        self,
        catalogue: Catalogue,
        meter: Meter,
        *,
        pool: Executor,
        metrics: Metrics,
        coverage: Coverage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._meter = meter
        self._pool = pool
        self._metrics = metrics
        self._coverage = coverage
        self._clock = clock

    async def respond(self, call: Call) -> Delivery:
        """The answer, its charge committed. Raises VendorError or ClientGone: then nothing is charged."""
        deadline = self._clock() + REQUEST_SECONDS
        request = call.request
        model = self._catalogue.find(request.model)
        check_model(call.principal, model.info.id)
        prices = await self._catalogue.prices(model.info.id)
        _check_options(request, model.info)
        asks = await asyncio.get_running_loop().run_in_executor(self._pool, read_items, request)
        await call.admission.weigh(len(asks))
        quote = quote_items([_as_asked(ask) for ask in asks], prices)
        order = _order(call, model, asks, quote)
        if not quote.lines or (request.atomic and order.refused):
            await self._refuse(call, order, asks)
        _check_engine(model)
        work = Work(
            model,
            [ask for ask, first in zip(asks, quote.first_of, strict=True) if first],
            pool=self._pool,
            deadline=deadline,
            gone=call.gone,
            atomic=request.atomic,
            partial_ok=request.partial_ok,
        )
        try:
            settlement = await self._meter.sell(order, work.run)
        except NothingDelivered:
            # The work knows lines, the client its items.
            raise refuse_all(find_problems(asks, quote, work), atomic=request.atomic) from None
        except VendorError as error:
            raise _restate(error, request) from error.__cause__
        self._count(model.info.id, asks, quote, work, settlement)
        sent = [vector for vector in work.vectors if vector is not None]
        self._coverage.observe(order.account_id, order.revision, sent)
        return write_answer(request, model.name, asks, quote, work, settlement)

    async def _refuse(self, call: Call, order: Order, asks: list[Ask]) -> NoReturn:
        """Refuse what the cheap checks have refused; for good, if the client has named it."""
        if call.idempotency_key is not None:
            await self._meter.spend_key(order)
        raise refuse_all([ask.problem for ask in asks], atomic=call.request.atomic)

    def _count(
        self, model: str, asks: list[Ask], quote: Quote, work: Work, settlement: Settlement
    ) -> None:
        self._metrics.charged.labels(model).inc(settlement.cost_nanousd)
        delivered = [line is not None and work.vectors[line] is not None for line in quote.line_of]
        self._metrics.pulse.note_items(sum(delivered))
        for ask, line, first in zip(asks, quote.line_of, quote.first_of, strict=True):
            if line is None or work.vectors[line] is None:
                outcome = "failed"
            else:
                paid = first and settlement.line_costs_nanousd[line] > 0
                outcome = "charged" if paid else "free"
            self._metrics.items.labels(model, ask.modality, outcome).inc()


def _check_options(request: EmbeddingRequest, info: ModelInfo) -> None:
    if request.dimensions not in (None, info.dimension):
        raise VendorError(
            ErrorCode.INVALID_REQUEST,
            f"{info.id} has {info.dimension} dimensions: leave `dimensions` out, or send {info.dimension}.",
            param="dimensions",
        )

    if request.atomic and request.partial_ok:
        raise VendorError(
            ErrorCode.INVALID_REQUEST,
            "`atomic` wants all or nothing and `partial_ok` takes parts: send one of them.",
            param="partial_ok",
        )


def _restate(error: VendorError, request: EmbeddingRequest) -> VendorError:
    """The ledger knows that a key is spent, not that its request was atomic."""
    if not request.atomic or error.code != ErrorCode.NO_VALID_ITEM:
        return error
    return VendorError(
        ErrorCode.ITEMS_REFUSED,
        "An item of the atomic request with this idempotency key was refused; nothing was charged.",
        param="input",
    )


def _check_engine(model: ServedModel) -> None:
    """Turn a request away before it is decoded and held when the engine could not take it anyway."""
    if not model.engine.state().alive:
        raise VendorError(
            ErrorCode.NOT_READY, f"The engine of {model.info.id} is down.", retry_after_s=5.0
        )


def _as_asked(ask: Ask) -> Asked | None:
    return None if ask.problem else Asked(ask.modality, ask.digest)


def _name_options(request: EmbeddingRequest) -> str:
    names: list[str] = [request.encoding_format, request.embed_dtype]
    names += ["atomic"] if request.atomic else []
    names += ["partial_ok"] if request.partial_ok else []
    return " ".join(names)


def _order(call: Call, model: ServedModel, asks: list[Ask], quote: Quote) -> Order:
    fingerprint = digest_request(
        model=model.info.id,
        revision=model.info.revision,
        options=_name_options(call.request),
        items=[ask.modality.encode() + ask.digest for ask in asks],
    )
    return Order(
        account_id=call.principal.account_id,
        key_id=call.principal.key_id,
        idempotency_key=call.idempotency_key or f"auto-{call.request_id}",
        fingerprint=fingerprint,
        request_id=call.request_id,
        model=model.info.id,
        revision=model.info.revision,
        quote=quote,
        refused=count_refused(asks),
    )
