"""The road of a purchase: recover → quote → (budget hold → HTTP → cache → settle) for each batch."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from client.acquire.concurrency import IN_FLIGHT, START, Aimd, Retries
from client.acquire.patience import buy_patiently
from client.acquire.planning import Plan, Planned
from client.acquire.purchase import Bought, FetchInterrupted, FetchStopped, Purchaser
from client.acquire.quote import Quote
from client.acquire.receipts import Receipt
from client.budget import Budgets, BudgetTooSmall
from client.errors import BudgetReached, ClientError
from client.failpoints import reach
from shared.money import show_usd

BYTES_IN_FLIGHT = 64_000_000
"""Of items, as they travel: what is under way is in memory, a few times over."""

__all__ = ["BYTES_IN_FLIGHT", "Fetch"]


@dataclass(frozen=True, slots=True)
class _UnderWay:
    """A request that was handed to a thread."""

    planned: Planned
    began: float


@dataclass(slots=True)
class Fetch:
    """Buys what a quote lists as missing, as many requests at a time as the vendor bears."""

    purchaser: Purchaser
    budgets: Budgets
    quote: Quote
    stop: threading.Event = field(default_factory=threading.Event)
    """Set it to finish what is in flight and buy nothing more."""
    progress: Callable[[Bought], None] = lambda bought: None
    in_flight: int = IN_FLIGHT
    """Requests at once at most."""
    at_first: int = START
    """Requests at once to begin with."""
    retries: Retries = field(default_factory=Retries)
    """What the SDK hears of refusals is told here: `VendorClient(on_retry=retries.hear)`."""
    receipt: Receipt = field(default_factory=Receipt)
    clock: Callable[[], float] = time.monotonic
    window: Aimd = field(init=False)
    _plan: Plan = field(init=False)
    _under_way: dict[Future[Bought], _UnderWay] = field(init=False, default_factory=dict)
    _resume_at: float = field(init=False, default=float("-inf"))
    """When the vendor wants to hear of something new again."""

    def __post_init__(self) -> None:
        self.window = Aimd(self.in_flight, self.at_first)
        renderer = self.purchaser.sources.renderer
        self._plan = Plan(self.quote, self.purchaser.journal, renderer)

    def run(self) -> Receipt:
        """Buy until all is bought, the budget ends, the vendor refuses, or `stop` is set.

        Nothing is lost by an early end: the same command goes on from there.
        """
        if self.quote.wants.purpose == "training":
            self._promote()
        began = self.clock()
        with ThreadPoolExecutor(self.in_flight, thread_name_prefix="fetch") as pool:
            while True:
                self._hand_out(pool)
                if not self._under_way:
                    break
                self._collect()
        if self._plan.items_left and self.stop.is_set() and self.receipt.stopped is None:
            self.receipt.stopped = FetchInterrupted(
                "interrupted; everything bought is saved: run the same command again to go on"
            )
        self._close(began)
        return self.receipt

    def _close(self, began: float) -> None:
        self._listen()
        self.receipt.buying_seconds = self.clock() - began
        self.receipt.retries = self.retries.count
        self.receipt.window = self.window

    def _hand_out(self, pool: ThreadPoolExecutor) -> None:
        """Start requests up to the limit."""
        while self._may_begin():
            planned = self._reserve(alone=not self._under_way)
            if planned is None:
                return
            future = pool.submit(buy_patiently, self.purchaser, planned.batch, self.retries)
            self._under_way[future] = _UnderWay(planned, self.clock())

    def _may_begin(self) -> bool:
        self._listen()
        if self.receipt.stopped is not None or self.stop.is_set():
            return False
        if not self._under_way:
            return True
        size = sum(under_way.planned.size for under_way in self._under_way.values())
        return (
            len(self._under_way) < self.window.limit
            and size < BYTES_IN_FLIGHT
            and self.clock() >= self._resume_at
        )

    def _listen(self) -> None:
        """Take to heart what the vendor refused since the last time."""
        for heard in self.retries.take():
            if heard.refused:
                self.window.refused(began=heard.began, now=heard.ended)
                self._resume_at = max(self._resume_at, heard.again)

    def _collect(self) -> None:
        """Wait for an answer, or until more may be asked, and count what has come."""
        pause = self._resume_at - self.clock()
        done, _ = wait(
            self._under_way, timeout=pause if pause > 0 else None, return_when=FIRST_COMPLETED
        )
        self._listen()
        for future in done:
            self._count(future, self._under_way.pop(future))

    def _count(self, future: Future[Bought], under_way: _UnderWay) -> None:
        try:
            bought = future.result()
        except ClientError as error:
            # The first failure is the one to tell; others follow from it.
            self.receipt.stopped = self.receipt.stopped or error
            return
        self.window.answered(under_way.planned.kind, began=under_way.began, now=self.clock())
        self.receipt.add(bought)
        self.progress(bought)
        if bought.cost_nanousd > bought.batch.max_cost_nanousd:
            self.receipt.stopped = FetchStopped(
                "the vendor charged more than it quoted: run the same command again for a new "
                "quote, and ask the vendor about its prices"
            )

    def _promote(self) -> None:
        """Open to training what evaluating the teacher has paid for already."""
        wants, revision = self.quote.wants, self.quote.document.revision
        store = self.purchaser.store
        for view in wants.views:
            store.promote(revision, "image", wants.images, view=view)
        store.promote(revision, "text", wants.texts)

    def _reserve(self, *, alone: bool) -> Planned | None:
        """Write the next request down, or the part of it that the budget covers; None when none fits.

        While requests are in flight, part of their hold may come back: only then is it final.
        """
        planned = self._plan.take()
        if planned is None:
            return None
        try:
            self.purchaser.journal.plan(planned.batch)
        except BudgetTooSmall as refusal:
            if alone:
                return self._reserve_part(planned, refusal)
            self._plan.put_back(planned)
            return None
        reach("planned")
        return planned

    def _reserve_part(self, whole: Planned, refusal: BudgetTooSmall) -> Planned | None:
        items, price = len(whole.batch.digests), whole.line.price_nanousd
        budget = self.budgets.get(whole.batch.run)
        fits = budget.fits(items, price) if budget else 0
        if not 0 < fits < items:
            self._plan.put_back(whole)
            self.receipt.stopped = self._explain_budget(price, refusal)
            return None
        part = self._plan.cut(whole, fits)
        try:
            self.purchaser.journal.plan(part.batch)
        except BudgetTooSmall as taken:
            # Another process of the project has held what was left a moment ago.
            return self._reserve_part(self._plan.rejoin(part, whole), taken)
        reach("planned")
        return part

    def _explain_budget(self, price_nanousd: int, refusal: BudgetTooSmall) -> BudgetReached:
        budget = self.budgets.get(self.quote.run)
        cap = budget.cap_nanousd if budget else 0
        left = cap - budget.held_nanousd - budget.spent_nanousd if budget else 0
        if left >= price_nanousd:
            return refusal  # a cap in items or the project's is in the way, and it names that
        needed = self._plan.cost_left_nanousd
        enough = show_usd(cap - left + needed).lstrip("$")
        return BudgetReached(
            f"the budget of {show_usd(cap)} ends here: {show_usd(left)} left, "
            f"{self._plan.items_left} items for {show_usd(needed)} to go; run the same command "
            f"again with --budget {enough}"
        )
