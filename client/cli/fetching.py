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
    Purchaser,
    Quote,
    Receipt,
    Retries,
    Scratch,
    Wants,
    hold_run,
    make_quote,
    name_run,
    recover,
)
from client.api import NotFoundError, VendorClient, VendorError
from client.budget import Budget, Budgets, Caps, Journal
from client.cache import EmbeddingStore, require_same_space
from client.cli.fetch_bar import run_with_bar
from client.cli.order import FetchOrder
from client.cli.quoting import describe_quote, describe_receipt, show_quote, show_receipt
from client.cli.screen import errors, print_json
from client.cli.stocktaking import Stock, read_stock
from client.errors import UsageError
from client.settings import ClientSettings
from shared.money import parse_usd, show_usd
from shared.wire import ModelDocument

__all__ = ["carry_out", "find_model"]


def carry_out(order: FetchOrder, stop: threading.Event, *, as_json: bool) -> None:
    """Scan, quote, and unless it is a dry run buy; print the quote and the receipt.

    Raises ClientError with the exit code of an early end, after the receipt.
    """
    order.narrowing.check(order.purpose)
    settings, retries = ClientSettings.load(), Retries()
    with (
        EmbeddingStore.open(settings.cache) as store,
        VendorClient(sleep=stop.wait, on_retry=retries.hear) as client,
        closing(Scratch()) as scratch,
    ):
        stock = read_stock(order, store.digests, scratch)
        document = find_model(client, order.model)
        require_same_space(store.database, document, order.model)
        run = order.run or name_run(stock.source.data, document.id)
        desk = _Desk(order, client, store, run, stock, document, scratch, retries)
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
    client: VendorClient
    store: EmbeddingStore
    run: str
    stock: Stock
    document: ModelDocument
    scratch: Scratch
    retries: Retries

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
            balance_nanousd=parse_usd(self.client.balance.get().available_usd),
            scratch=self.scratch,
        )

    def open_requests(self) -> int:
        """How many requests of earlier fetches have no known end."""
        return len(self.journal.unfinished(self.run))

    def buy(self, stop: threading.Event, *, as_json: bool) -> None:
        """Close what is open, quote, buy, print the receipt."""
        began = time.monotonic()
        wants, sources = self.stock.choose(self.order, self.document)
        purchaser = Purchaser(
            self.client,
            self.store,
            self.journal,
            sources,
            self.document.rebuy_free_days,
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
        if cap is None and quote.budget is None:
            if quote.to_buy:
                enough = show_usd(quote.cost_nanousd).lstrip("$")
                raise UsageError(
                    f"say how many dollars this run may spend: --budget {enough} covers it"
                )
            return
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


def find_model(client: VendorClient, model: str) -> ModelDocument:
    """The document of `id` or `id@revision` on sale now. Raises UsageError for another one."""
    name, _, revision = model.partition("@")
    try:
        document = client.models.get(name)
    except NotFoundError as error:
        names = ", ".join(sorted(item.id for item in client.models.list().data)) or "none"
        raise UsageError(
            f"the vendor serves no model {name!r}: choose one of {names} (`vl2v models`)"
        ) from error
    if revision and revision != document.revision:
        raise UsageError(
            f"the vendor now serves {name}@{document.revision}, not {revision}: leave out "
            f"@{revision} to buy from the new revision"
        )
    return document


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
        show_receipt(receipt)
        if open_requests and isinstance(receipt.stopped, FetchInterrupted):
            errors().print(f"{open_requests} requests are open; the next fetch closes them first")
