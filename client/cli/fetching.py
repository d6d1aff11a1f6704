"""The story of one `vl2v fetch`, told top to bottom."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from typing import Any

from client.acquire import (
    IN_FLIGHT,
    Catalogue,
    Fetch,
    FetchInterrupted,
    Forms,
    Pixels,
    Purchaser,
    Quote,
    Receipt,
    Retries,
    Scratch,
    Wants,
    choose_forms,
    hold_run,
    make_quote,
    name_run,
    recover,
)
from client.api import VendorError
from client.budget import Budget, Budgets, Caps, Journal
from client.cache import EmbeddingStore, require_same_space
from client.cli.fetch_bar import run_with_bar
from client.cli.order import FetchOrder
from client.cli.quoting import describe_quote, describe_receipt, show_quote, show_receipt
from client.cli.screen import errors, print_json
from client.cli.stocktaking import Stock, read_stock
from client.errors import UsageError
from client.settings import ClientSettings
from client.teachers import Teacher, open_teacher
from shared.money import show_usd
from shared.wire import ModelDocument

__all__ = ["carry_out"]


def carry_out(order: FetchOrder, stop: threading.Event, *, as_json: bool) -> None:
    """Scan, quote, and unless it is a dry run buy; print the quote and the receipt.

    Raises ClientError with the exit code of an early end, after the receipt.
    """
    order.narrowing.check(order.purpose)
    settings, retries = ClientSettings.load(), Retries()
    with (
        EmbeddingStore.open(settings.cache) as store,
        closing(_open_teacher(order, settings, retries, stop)) as teacher,
        closing(Scratch()) as scratch,
    ):
        stock = read_stock(order, store.digests, scratch)
        with errors().status("asking the teacher what it is"):
            document = teacher.describe(order.model, store.list_models)
        require_same_space(store.database, document, order.model)
        forms = _choose_forms(order, settings, document)
        run = order.run or name_run(stock.source.data, document.id)
        desk = _Desk(order, teacher, store, run, stock, document, scratch, retries, forms)
        if order.dry_run:
            quote = desk.quote()
            _print(as_json, stock.catalogue, quote, None, open_requests=desk.open_requests())
            return
        with hold_run(store.database, run), _comforting():
            desk.buy(stop, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a fetch works with."""

    order: FetchOrder
    teacher: Teacher
    store: EmbeddingStore
    run: str
    stock: Stock
    document: ModelDocument
    scratch: Scratch
    retries: Retries
    forms: Forms

    @property
    def journal(self) -> Journal:
        """What was asked and paid."""
        return Journal(self.store.database)

    @property
    def budgets(self) -> Budgets:
        """What may be paid."""
        return Budgets(self.store.database)

    def quote(self, wants: Wants | None = None) -> Quote:
        """What would be bought now; spends nothing."""
        return make_quote(
            wants or self.stock.choose(self.order, self.document)[0],
            self.document,
            store=self.store,
            journal=self.journal,
            run=self.run,
            budget=self._budget(),
            balance_nanousd=self.teacher.read_balance(),
            scratch=self.scratch,
            forms=self.forms,
        )

    def open_requests(self) -> int:
        """How many requests of earlier fetches have no known end."""
        return len(self.journal.unfinished(self.run))

    def buy(self, stop: threading.Event, *, as_json: bool) -> None:
        """Close what is open, quote, buy, print the receipt."""
        began = time.monotonic()
        wants, sources = self.stock.choose(self.order, self.document)
        purchaser = Purchaser(
            self.teacher,
            self.store,
            self.journal,
            replace(sources, pixels=self.forms.pixels),
            self.document.rebuy_free_days,
            self.forms,
            sleep=stop.wait,
        )
        receipt = Receipt()
        for bought in recover(purchaser, self.run, stop=stop):
            receipt.add(bought)
            receipt.recovered += bought.delivered
        quote = self.quote(wants)
        if not as_json:
            show_quote(quote, self.stock.catalogue)
        self._set_cap(quote)
        self.store.put_model(self.document)
        fetch = Fetch(
            purchaser,
            self.budgets,
            quote,
            stop=stop,
            in_flight=self.order.in_flight or IN_FLIGHT,
            retries=self.retries,
            receipt=receipt,
        )
        run_with_bar(fetch)
        receipt.seconds, budget = time.monotonic() - began, self.budgets.get(self.run)
        receipt.budget_left_nanousd = budget.left_nanousd if budget else None
        if receipt.balance_nanousd is None:  # nothing was answered since the quote
            receipt.balance_nanousd = quote.balance_nanousd
        _print(as_json, self.stock.catalogue, quote, receipt, open_requests=self.open_requests())
        if receipt.stopped is not None:
            raise receipt.stopped

    def _budget(self) -> Budget | None:
        known, cap = self.budgets.get(self.run), self.order.cap_nanousd
        if cap is not None:
            known = replace(known or Budget(0, 0, 0), cap_nanousd=cap)
        if known is not None and self.order.project is not None:
            known = replace(known, project=self.budgets.get_project(self.order.project))
        return known

    def _set_cap(self, quote: Quote) -> None:
        cap, project = self.order.cap_nanousd, self.order.project
        if cap is None and quote.budget is None and quote.to_buy:
            if quote.cost_nanousd:
                enough = show_usd(quote.cost_nanousd).lstrip("$")
                raise UsageError(
                    f"say how many dollars this run may spend: --budget {enough} covers it"
                )
            cap = 0  # of a teacher that costs nothing
        caps: Caps = {} if cap is None else {"cap_nanousd": cap}
        if caps or project is not None:
            self.budgets.change_run(self.run, caps, into=project)


@contextmanager
def _comforting() -> Iterator[None]:
    """Say, after the vendor's own words, that nothing is lost by an error of its making."""
    try:
        yield
    except VendorError:
        errors().print("what was bought is saved; the same command goes on from there")
        raise


def _open_teacher(
    order: FetchOrder, settings: ClientSettings, retries: Retries, stop: threading.Event
) -> Teacher:
    spec = order.teacher or settings.teacher
    return open_teacher(spec, settings, order.terms, sleep=stop.wait, on_retry=retries.hear)


def _choose_forms(order: FetchOrder, settings: ClientSettings, document: ModelDocument) -> Forms:
    upload = order.upload or settings.upload
    with errors().status(
        "making sure that pixels made here are the vendor's own" if upload == "pixels" else ""
    ):
        return choose_forms(upload, document, Pixels(document))


def _print(
    as_json: bool,
    catalogue: Catalogue,
    quote: Quote,
    receipt: Receipt | None,
    *,
    open_requests: int,
) -> None:
    if as_json:
        document: dict[str, Any] = describe_quote(quote, catalogue) | {
            "open_requests": open_requests
        }
        if receipt is not None:
            document["receipt"] = describe_receipt(receipt)
        print_json(document)
    elif receipt is None:
        show_quote(quote, catalogue, open_requests=open_requests)
    else:
        show_receipt(receipt, quote)
        if open_requests and isinstance(receipt.stopped, FetchInterrupted):
            errors().print(f"{open_requests} requests are open; the next fetch closes them first")
