"""The road of a purchase: recover → quote → (budget hold → HTTP → cache → settle) for each batch."""

import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field

from client.acquire.batches import make_batches
from client.acquire.keys import name_request
from client.acquire.purchase import Bought, FetchInterrupted, FetchStopped, Purchaser
from client.acquire.quote import Quote, QuoteLine
from client.budget import Batch, Budgets, BudgetTooSmall, ItemOutcome
from client.errors import BudgetReached, ClientError
from client.failpoints import reach
from shared.money import show_usd

IN_FLIGHT = 3
"""Requests at once: the vendor batches over clients, so more only lengthens its queue."""

__all__ = ["IN_FLIGHT", "Fetch", "Receipt"]


@dataclass(slots=True)
class Receipt:
    """What came of a fetch; `stopped` says why it ended early."""

    items: dict[str, int] = field(default_factory=lambda: {"image": 0, "text": 0})
    """Modality → vectors received."""
    failures: list[ItemOutcome] = field(default_factory=list)
    cost_nanousd: int = 0
    """By the vendor's receipts."""
    balance_nanousd: int | None = None
    """On the account after the last answer."""
    requests: int = 0
    recovered: int = 0
    """Of the vectors, those that an earlier fetch had asked for."""
    stopped: ClientError | None = None

    def add(self, bought: Bought) -> None:
        """Count one settled batch."""
        self.items[bought.batch.modality] += bought.delivered
        self.failures.extend(bought.failures)
        self.cost_nanousd += bought.cost_nanousd
        self.requests += 1
        if bought.balance_nanousd is not None:
            known = self.balance_nanousd
            # Answers overtake each other; within one fetch the balance only falls.
            self.balance_nanousd = (
                bought.balance_nanousd if known is None else min(known, bought.balance_nanousd)
            )


@dataclass(slots=True)
class Fetch:
    """Buys what a quote lists as missing, a few requests at a time."""

    purchaser: Purchaser
    budgets: Budgets
    quote: Quote
    stop: threading.Event = field(default_factory=threading.Event)
    """Set it to finish what is in flight and buy nothing more."""
    progress: Callable[[Bought], None] = lambda bought: None
    in_flight: int = IN_FLIGHT
    receipt: Receipt = field(default_factory=Receipt)

    def run(self) -> Receipt:
        """Buy until all is bought, the budget ends, the vendor refuses, or `stop` is set.

        Nothing is lost by an early end: the same command goes on from there.
        """
        if self.quote.wants.purpose == "training":
            self._promote()
        queue = deque(self._plan_all())
        under_way: set[Future[Bought]] = set()
        with ThreadPoolExecutor(self.in_flight, thread_name_prefix="fetch") as pool:
            while True:
                while queue and len(under_way) < self.in_flight and self._may_go_on():
                    batch = self._reserve(queue, alone=not under_way)
                    if batch is None:
                        break
                    under_way.add(pool.submit(self.purchaser.buy, batch))
                if not under_way:
                    break
                done, under_way = wait(under_way, return_when=FIRST_COMPLETED)
                for future in done:
                    self._count(future)
        if queue and self.stop.is_set() and self.receipt.stopped is None:
            self.receipt.stopped = FetchInterrupted(
                "interrupted; everything bought is saved: run the same command again to go on"
            )
        return self.receipt

    def _may_go_on(self) -> bool:
        return self.receipt.stopped is None and not self.stop.is_set()

    def _promote(self) -> None:
        """Open to training what evaluating the teacher has paid for already."""
        wants, revision = self.quote.wants, self.quote.document.revision
        store = self.purchaser.store
        for view in wants.views:
            store.promote(revision, "image", list(wants.images), view=view)
        store.promote(revision, "text", list(wants.texts))

    def _plan_all(self) -> list[Batch]:
        return [
            self._make_batch(line, digests)
            for line in self.quote.lines
            for digests in make_batches(line.modality, line.missing)
        ]

    def _make_batch(self, line: QuoteLine, digests: tuple[bytes, ...]) -> Batch:
        document = self.quote.document
        batch = Batch(
            run=self.quote.run,
            idempotency_key="",
            model_id=document.id,
            revision=document.revision,
            modality=line.modality,
            purpose=self.quote.wants.purpose,
            digests=digests,
            max_cost_nanousd=len(digests) * line.price_nanousd,
            view=line.view,
        )
        return name_request(batch, self.purchaser.journal, self.purchaser.sources.renderer)

    def _reserve(self, queue: deque[Batch], *, alone: bool) -> Batch | None:
        """Plan the next batch, or the part of it that the budget covers; None when none fits.

        While requests are in flight, part of their hold may come back: only then is it final.
        """
        batch = queue.popleft()
        try:
            self.purchaser.journal.plan(batch)
        except BudgetTooSmall as refusal:
            queue.appendleft(batch)
            if alone:
                return self._reserve_part(queue, refusal)
            return None
        reach("planned")
        return batch

    def _reserve_part(self, queue: deque[Batch], refusal: BudgetTooSmall) -> Batch | None:
        whole = queue.popleft()
        asked = (whole.modality, whole.view)
        line = next(line for line in self.quote.lines if (line.modality, line.view) == asked)
        budget = self.budgets.get(whole.run)
        fits = budget.fits(len(whole.digests), line.price_nanousd) if budget else 0
        if not 0 < fits < len(whole.digests):
            queue.appendleft(whole)
            self.receipt.stopped = self._explain_budget(queue, line.price_nanousd, refusal)
            return None
        part = self._make_batch(line, whole.digests[:fits])
        try:
            self.purchaser.journal.plan(part)
        except BudgetTooSmall as taken:
            # Another process of the project has held what was left a moment ago.
            queue.appendleft(whole)
            return self._reserve_part(queue, taken)
        queue.appendleft(self._make_batch(line, whole.digests[fits:]))
        reach("planned")
        return part

    def _explain_budget(
        self, queue: deque[Batch], price_nanousd: int, refusal: BudgetTooSmall
    ) -> BudgetReached:
        budget = self.budgets.get(self.quote.run)
        cap = budget.cap_nanousd if budget else 0
        left = cap - budget.held_nanousd - budget.spent_nanousd if budget else 0
        if left >= price_nanousd:
            return refusal  # a cap in items or the project's is in the way, and it names that
        items = sum(len(batch.digests) for batch in queue)
        needed = sum(batch.max_cost_nanousd for batch in queue)
        enough = show_usd(cap - left + needed).lstrip("$")
        return BudgetReached(
            f"the budget of {show_usd(cap)} ends here: {show_usd(left)} left, {items} items for "
            f"{show_usd(needed)} to go; run the same command again with --budget {enough}"
        )

    def _count(self, future: Future[Bought]) -> None:
        try:
            bought = future.result()
        except ClientError as error:
            # The first failure is the one to tell; others follow from it.
            self.receipt.stopped = self.receipt.stopped or error
            return
        self.receipt.add(bought)
        self.progress(bought)
        if bought.cost_nanousd > bought.batch.max_cost_nanousd:
            self.receipt.stopped = FetchStopped(
                "the vendor charged more than it quoted: run the same command again for a new "
                "quote, and ask the vendor about its prices"
            )
