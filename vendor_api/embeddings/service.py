"""One paid request, top to bottom."""

import asyncio
import time
from collections import Counter as Counts
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import NoReturn

from shared.digests import digest_request
from shared.errors import ErrorCode
from shared.headers import SERVER_TIMING
from vendor_api import notes
from vendor_api.auth.access import check_model
from vendor_api.auth.service import Principal
from vendor_api.coverage import Coverage
from vendor_api.embeddings.answer import Delivery, Sale, find_problems, write_answer
from vendor_api.embeddings.departure import Departure
from vendor_api.embeddings.entrance import Passage
from vendor_api.embeddings.promises import Caller
from vendor_api.embeddings.requests import Ask, count_refused
from vendor_api.embeddings.results import Results
from vendor_api.embeddings.terms import Terms, check_count, check_terms
from vendor_api.embeddings.work import Work, refuse_all
from vendor_api.embeddings.workshop import Workshop
from vendor_api.engine.base import ModelInfo, ServedModel
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import REQUEST_SECONDS
from vendor_api.limits.limiter import Admission
from vendor_api.metering.quote import Asked, Quote, quote_items
from vendor_api.metering.service import Meter, NothingDelivered, Order, Settlement
from vendor_api.metrics import Metrics
from vendor_api.models.service import Catalogue, name_model, name_revision
from vendor_api.spaces import Rotation, Spaces
from vendor_api.stopwatch import Stopwatch

__all__ = ["Call", "Counter"]


@dataclass(frozen=True, slots=True)
class Call:
    """A request with everything its headers say."""

    principal: Principal
    terms: Terms
    read: Callable[[ModelInfo], list[Ask]]
    """Its items, their cheap checks done. Raises VendorError."""
    quick: bool
    """Whether that takes less than it takes to wake a thread for it."""
    idempotency_key: str | None
    """None: the request cannot be replayed, and the vendor names it itself."""
    request_id: str
    gone: Departure
    """Noted when the client closes the connection."""
    admission: Admission
    """What the limits of the key say."""
    watch: Stopwatch


class Counter:
    """Where embeddings are sold."""

    def __init__(
        self,
        catalogue: Catalogue,
        meter: Meter,
        *,
        workshop: Workshop,
        metrics: Metrics,
        results: Results,
        spaces: Spaces,
        coverage: Coverage,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._catalogue = catalogue
        self._meter = meter
        self._workshop = workshop
        self._metrics = metrics
        self._results = results
        self._spaces = spaces
        self._coverage = coverage
        self._clock = clock

    async def respond(self, call: Call) -> Delivery:
        """The answer, its charge committed. Raises VendorError or ClientGone: then nothing is charged."""
        deadline = self._clock() + REQUEST_SECONDS
        terms = call.terms
        space = call.principal.space
        model = self._catalogue.find(terms.model, space)
        check_model(call.principal, model.info.id)
        prices = await self._catalogue.prices(model.info.id)
        check_terms(terms, model.info)
        asks = await self._read(call, model.info)
        check_count(terms, len(asks))
        notes.note(model=model.info.id, items=len(asks))
        await call.admission.weigh(len(asks))
        quote = quote_items([_as_asked(ask) for ask in asks], prices)
        order = _order(call, model, asks, quote)
        if not quote.lines or (terms.atomic and order.refused):
            await self._refuse(call, order, asks)
        _check_engine(model)
        lines = [ask for ask, first in zip(asks, quote.first_of, strict=True) if first]
        rotation = await self._find_rotation(call, model)
        passage = self._admit(model, order, lines)
        work = Work(
            model,
            lines,
            account=call.principal.account_id,
            results=self._results,
            workshop=self._workshop,
            passage=passage,
            deadline=deadline,
            gone=call.gone,
            terms=terms,
            watch=call.watch,
            rotation=rotation,
        )
        try:
            with passage, work:
                settlement = await self._meter.sell(
                    order, work.run, call.watch, prepare=work.prepare
                )
        except NothingDelivered:
            # The work knows lines, the client its items.
            raise refuse_all(find_problems(asks, quote, work), atomic=terms.atomic) from None
        except VendorError as error:
            raise _restate(error, terms) from error.__cause__
        name = name_model(model.info, space)
        space_id = None if space is None else space.id
        with call.watch.measure("encode"):
            delivery = write_answer(
                Sale(terms, model.info, name, asks, quote, work, settlement, space_id)
            )
        delivery.headers[SERVER_TIMING] = call.watch.header()
        return replace(delivery, afterwards=partial(self._remember, order, asks, work, settlement))

    async def _read(self, call: Call, info: ModelInfo) -> list[Ask]:
        if call.quick:
            return call.read(info)
        return await asyncio.get_running_loop().run_in_executor(
            self._workshop.desk, call.read, info
        )

    def _admit(self, model: ServedModel, order: Order, lines: Sequence[Ask]) -> Passage:
        """Let the request in to the engine with what must be computed. Raises VendorError (503)."""
        account, revision = order.account_id, order.revision
        new = [
            ask
            for ask in lines
            if not self._results.knows((account, revision, ask.modality, ask.digest))
        ]
        return self._workshop.entrance(model).admit(Caller(account, order.fingerprint), new)

    async def _find_rotation(self, call: Call, model: ServedModel) -> Rotation | None:
        """What takes the model's vectors to the account's space, made before any money is held."""
        space, info = call.principal.space, model.info
        if space is None:
            return None
        return await self._spaces.open(
            space, revision=info.revision, dimension=info.dimension, pool=self._workshop.desk
        )

    async def _refuse(self, call: Call, order: Order, asks: list[Ask]) -> NoReturn:
        """Refuse what the cheap checks have refused; for good, if the client has named it."""
        if call.idempotency_key is not None:
            await self._meter.spend_key(order)
        raise refuse_all([ask.problem for ask in asks], atomic=call.terms.atomic)

    def _remember(self, order: Order, asks: list[Ask], work: Work, settlement: Settlement) -> None:
        """What metrics and the watch on an account's coverage are told of a sale."""
        self._count(order.model, asks, order.quote, work, settlement)
        sent = [vector for vector in work.vectors if vector is not None]
        self._coverage.observe(order.account_id, order.revision, sent)

    def _count(
        self, model: str, asks: list[Ask], quote: Quote, work: Work, settlement: Settlement
    ) -> None:
        delivered = [line is not None and work.vectors[line] is not None for line in quote.line_of]
        self._metrics.pulse.note_items(sum(delivered))
        counts = Counts[tuple[str, str]]()
        for ask, line, first in zip(asks, quote.line_of, quote.first_of, strict=True):
            if line is None or work.vectors[line] is None:
                outcome = "failed"
            else:
                paid = first and settlement.line_costs_nanousd[line] > 0
                outcome = "charged" if paid else "free"
            counts[ask.modality, outcome] += 1
        self._metrics.observe_sale(model, settlement.cost_nanousd, counts)


def _restate(error: VendorError, terms: Terms) -> VendorError:
    """The ledger knows that a key is spent, not that its request was atomic."""
    if not terms.atomic or error.code != ErrorCode.NO_VALID_ITEM:
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


def _order(call: Call, model: ServedModel, asks: list[Ask], quote: Quote) -> Order:
    # Another space is another content: a replay or a remembered answer never crosses over. What was
    # bought is remembered by the weights alone, so that the same picture is free in a new space.
    fingerprint = digest_request(
        model=model.info.id,
        revision=name_revision(model.info, call.principal.space),
        options=call.terms.name,
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
