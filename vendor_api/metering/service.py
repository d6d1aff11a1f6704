"""The money side of one request: reserve, let the work be done, capture or give back.

The only caller of the ledger's writes to holds.
"""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

import structlog

from shared.errors import ErrorCode
from shared.money import format_usd
from shared.wire import Modality
from vendor_api import failpoints, notes
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import (
    Hold,
    KeyReused,
    LedgerError,
    LedgerUnavailable,
    NothingValid,
    Price,
    Receipt,
    Replay,
    ReplayLimit,
    RequestInFlight,
    Reserve,
)
from vendor_api.ledger.ledger import Ledger
from vendor_api.metering.pricelist import PriceList
from vendor_api.metering.quote import Quote
from vendor_api.metering.refusals import translate
from vendor_api.metering.trust import Trust
from vendor_api.metrics import Metrics
from vendor_api.stopwatch import Stopwatch

LEDGER_SECONDS = 10.0
"""A database that is silent for longer is answered for with 503; what it commits late is found again."""

T = TypeVar("T")
Work = Callable[[Sequence[bool]], Awaitable[Sequence[bool]]]
"""From the lines to do to the lines that were done."""

__all__ = ["LEDGER_SECONDS", "Meter", "NothingDelivered", "Order", "Settlement", "Work"]

_REFUSED: Mapping[type, str] = {
    KeyReused: "conflict",
    RequestInFlight: "in_flight",
    NothingValid: "spent",
    ReplayLimit: "replay_limit",
}
"""How the metric calls what stands under a key that cannot be used again now."""

_log = structlog.get_logger("vendor")


@dataclass(frozen=True, slots=True)
class Order:
    """Who asks for what, under which idempotency key."""

    account_id: str
    key_id: str
    idempotency_key: str
    fingerprint: bytes
    request_id: str
    model: str
    revision: str
    quote: Quote
    refused: Mapping[Modality, int]
    """Items that failed the cheap checks and never became lines."""


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a request was paid."""

    charge_id: str
    cost_nanousd: int
    line_costs_nanousd: tuple[int, ...]
    available_nanousd: int
    replayed: bool


class NothingDelivered(VendorError):
    """Every item turned out to be unusable: the request is answered, for good, and costs nothing."""


class Meter:
    """Sells work against the ledger."""

    def __init__(self, ledger: Ledger, metrics: Metrics) -> None:
        self._ledger = ledger
        self._metrics = metrics
        self._pricelist = PriceList(ledger)
        self._trust = Trust()

    async def prices(self, model: str) -> Mapping[Modality, Price]:
        """Both prices of a model, see `PriceList`, or nothing when it is not for sale."""
        prices = self._pricelist.recall(model)
        if prices is None:
            prices = await self._ask("prices", self._pricelist.read(model))
        return prices if {"image", "text"} <= prices.keys() else {}

    def forget_prices(self) -> None:
        """To be told of a price that was set here: it counts for the next request."""
        self._pricelist.forget()

    async def sell(
        self,
        order: Order,
        work: Work,
        watch: Stopwatch | None = None,
        *,
        prepare: Callable[[], None] = lambda: None,
    ) -> Settlement:
        """Hold the price, do the work, charge for the lines it delivered: in this order, or not at all.

        `work` is told which lines to do, and answers which were delivered. Whatever it raises, the
        hold is given back; a NothingDelivered also spends the key. When this returns, the charge is
        committed. A replay does the lines that were paid for, and no other.

        `prepare` begins what the work needs and nobody pays for. It is called while the price of a
        trusted account's order is being held, see `Trust`; what it began may have been for nothing.
        """
        watch = watch or Stopwatch()
        if self._trust.covers(order.account_id, order.quote.total_nanousd):
            prepare()
            # Then it is with its threads before the writer's thread wants the interpreter.
            await asyncio.sleep(0)
        with watch.measure("reserve"):
            claim = await self._reserve(order)
        if isinstance(claim, Replay):
            await work(await self._find_bought(order))
            notes.note(replayed=True, cost_usd=format_usd(0))
            return _replayed(claim, len(order.quote.lines))
        try:
            await failpoints.pause("after_reserve")
            delivered = await work([True] * len(order.quote.lines))
        except NothingDelivered:
            await self._release(claim, final=True)
            raise
        except BaseException:
            await asyncio.shield(self._release(claim, final=False))
            raise
        with watch.measure("capture"):
            receipt = await self._capture(claim, delivered, order)
        await failpoints.pause("after_capture")
        return Settlement(
            charge_id=receipt.charge_id,
            cost_nanousd=receipt.cost_nanousd,
            line_costs_nanousd=receipt.line_costs_nanousd,
            available_nanousd=receipt.available_nanousd,
            replayed=False,
        )

    async def spend_key(self, order: Order) -> None:
        """Close the idempotency key of a request that nothing will be charged for, whatever is sent again.

        Raises VendorError when the key belongs to other content or the account may not buy.
        """
        nothing = Quote((), ())
        try:
            claim = await self._reserve(replace(order, quote=nothing))
        except VendorError as error:
            if error.code == ErrorCode.NO_VALID_ITEM:
                return
            raise
        if isinstance(claim, Hold):
            await self._release(claim, final=True)

    async def _find_bought(self, order: Order) -> Sequence[bool]:
        return await self._ask(
            "bought",
            self._ledger.find_bought(order.account_id, order.revision, order.quote.lines),
        )

    async def _reserve(self, order: Order) -> Hold | Replay:
        command = Reserve(
            account_id=order.account_id,
            key_id=order.key_id,
            idempotency_key=order.idempotency_key,
            fingerprint=order.fingerprint,
            request_id=order.request_id,
            model=order.model,
            revision=order.revision,
            lines=order.quote.lines,
        )
        try:
            claim = await self._ask("reserve", self._ledger.reserve(command))
        except VendorError as error:
            self._trust.lose(order.account_id)
            self._count_key(_REFUSED.get(type(error.__cause__)))
            raise
        self._trust.note(order.account_id, claim.available_nanousd)
        self._count_key("new" if isinstance(claim, Hold) else "replayed")
        notes.note(charge_id=claim.charge_id)
        return claim

    def _count_key(self, result: str | None) -> None:
        if result is not None:
            self._metrics.observe_key(result)

    async def _capture(self, hold: Hold, delivered: Sequence[bool], order: Order) -> Receipt:
        failed, repeated = _count_others(order, delivered)
        capturing = self._ledger.capture(hold, delivered, failed=failed, repeated=repeated)
        receipt = await self._ask("capture", capturing)
        self._trust.note(order.account_id, receipt.available_nanousd)
        notes.note(cost_usd=format_usd(receipt.cost_nanousd))
        return receipt

    async def _release(self, hold: Hold, *, final: bool) -> None:
        try:
            await self._ask("release", self._ledger.release(hold, final=final))
        except VendorError as error:
            # The sweeper returns the money when the hold has run out.
            _log.warning("hold_not_released", charge_id=hold.charge_id, error=repr(error.__cause__))
        await failpoints.pause("after_release")

    async def _ask(self, operation: str, answer: Awaitable[T]) -> T:
        """What the ledger answers, measured. Raises VendorError, also when no answer comes."""
        try:
            with self._metrics.ledger_operation(operation):
                async with asyncio.timeout(LEDGER_SECONDS):
                    return await answer
        except LedgerError as error:
            raise translate(error) from error
        except TimeoutError as error:
            raise translate(LedgerUnavailable("the database is silent")) from error


def _replayed(claim: Replay, lines: int) -> Settlement:
    return Settlement(claim.charge_id, 0, (0,) * lines, claim.available_nanousd, replayed=True)


def _count_others(
    order: Order, delivered: Sequence[bool]
) -> tuple[dict[Modality, int], dict[Modality, int]]:
    """Items that are no line of their own: failed ones, and free repetitions of delivered ones."""
    quote = order.quote
    if not order.refused and len(quote.line_of) == len(quote.lines):
        return {}, {}
    failed, repeated = Counter(order.refused), Counter[Modality]()
    for line, first in zip(quote.line_of, quote.first_of, strict=True):
        if line is not None and not first:
            (repeated if delivered[line] else failed)[quote.lines[line].modality] += 1
    return dict(failed), dict(repeated)
