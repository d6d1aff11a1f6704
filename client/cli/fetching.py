"""The story of one `vl2v fetch`, told top to bottom."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeRemainingColumn,
)

from client.acquire import (
    Bought,
    Fetch,
    FetchInterrupted,
    Purchaser,
    Quote,
    Receipt,
    Sources,
    Wants,
    choose_wants,
    hold_run,
    make_quote,
    name_run,
    recover,
)
from client.api import VendorError
from client.budget import Budget, Budgets, Journal
from client.cache import EmbeddingStore, Purpose
from client.cache.store import FILE_VIEW
from client.cli.narrowing import Narrowing
from client.cli.quoting import describe_quote, describe_receipt, show_quote, show_receipt
from client.cli.screen import errors, print_json
from client.data import Manifest, PromptStyle, make_prompts, scan_folders, split_pictures
from client.data.descriptions import list_texts
from client.data.views import name_views
from client.errors import UsageError
from client.settings import ClientSettings
from client.teachers import NO_TERMS, Teacher, Terms, open_teacher
from shared.digests import digest_text
from shared.money import show_usd
from shared.wire import ModelDocument

DEFAULT_TEMPLATE = "a photo of a {}"
"""For a vendor that recommends none."""

__all__ = ["FetchOrder", "carry_out"]


@dataclass(frozen=True, slots=True)
class FetchOrder:
    """What the user asked for."""

    data: Path
    model: str
    cap_nanousd: int | None
    targets: tuple[str, ...]
    purpose: Purpose
    templates: tuple[str, ...]
    prompts: PromptStyle
    split_seed: int
    run: str | None
    dry_run: bool
    narrowing: Narrowing
    descriptions: Path | None = None
    captions: Path | None = None
    teacher: str | None = None
    """None: what the settings say."""
    terms: Terms = NO_TERMS


def carry_out(order: FetchOrder, stop: threading.Event, *, as_json: bool) -> None:
    """Scan, quote, and unless it is a dry run buy; print the quote and the receipt.

    Raises ClientError with the exit code of an early end, after the receipt.
    """
    order.narrowing.check(order.purpose)
    settings = ClientSettings.load()
    with (
        EmbeddingStore.open(settings.cache) as store,
        closing(_open_teacher(order, settings, stop)) as teacher,
    ):
        with errors().status("reading the pictures"):
            manifest = scan_folders(order.data, memo=store.digests)
        with errors().status("asking the teacher what it is"):
            document = teacher.describe(order.model, store.list_models)
        wants, sources = _choose(order, manifest, document)
        run = order.run or name_run(manifest.root, document.id)
        desk = _Desk(order, teacher, store, Journal(store.database), Budgets(store.database), run)
        if order.dry_run:
            quote = desk.quote(wants, document)
            _print(as_json, manifest, quote, None, 0.0, open_requests=desk.open_requests())
            return
        with hold_run(store.database, run), _comforting():
            desk.buy(manifest, wants, sources, document, stop, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _Desk:
    """What a fetch works with."""

    order: FetchOrder
    teacher: Teacher
    store: EmbeddingStore
    journal: Journal
    budgets: Budgets
    run: str

    def quote(self, wants: Wants, document: ModelDocument) -> Quote:
        balance = self.teacher.read_balance()
        return make_quote(
            wants,
            document,
            store=self.store,
            journal=self.journal,
            run=self.run,
            budget=self._budget(),
            balance_nanousd=balance,
        )

    def open_requests(self) -> int:
        return len(self.journal.unfinished(self.run))

    def buy(
        self,
        manifest: Manifest,
        wants: Wants,
        sources: Sources,
        document: ModelDocument,
        stop: threading.Event,
        *,
        as_json: bool,
    ) -> None:
        began = time.monotonic()
        purchaser = Purchaser(
            self.teacher,
            self.store,
            self.journal,
            sources,
            document.rebuy_free_days,
            sleep=stop.wait,
        )
        receipt = Receipt()
        for bought in recover(purchaser, self.run, stop=stop):
            receipt.add(bought)
            receipt.recovered += bought.delivered
        quote = self.quote(wants, document)
        if not as_json:
            show_quote(quote, manifest)
        self._set_cap(quote)
        self.store.put_model(document)
        fetch = Fetch(purchaser, self.budgets, quote, stop=stop, receipt=receipt)
        _run_with_bar(fetch)
        seconds = time.monotonic() - began
        _print(as_json, manifest, quote, receipt, seconds, open_requests=self.open_requests())
        if receipt.stopped is not None:
            raise receipt.stopped

    def _budget(self) -> Budget | None:
        known = self.budgets.get(self.run)
        cap = self.order.cap_nanousd
        if cap is None:
            return known
        return replace(known, cap_nanousd=cap) if known else Budget(cap, 0, 0)

    def _set_cap(self, quote: Quote) -> None:
        if self.order.cap_nanousd is not None:
            self.budgets.set_cap(self.run, self.order.cap_nanousd)
        elif quote.to_buy and quote.budget is None and not quote.cost_nanousd:
            self.budgets.set_cap(self.run, 0)
        elif quote.to_buy and quote.budget is None:
            enough = show_usd(quote.cost_nanousd).lstrip("$")
            raise UsageError(
                f"say how many dollars this run may spend: --budget {enough} covers it"
            )


@contextmanager
def _comforting() -> Iterator[None]:
    """Say, after the vendor's own words, that nothing is lost by an error of its making."""
    try:
        yield
    except VendorError:
        errors().print("what was bought is saved; the same command goes on from there")
        raise


def _open_teacher(order: FetchOrder, settings: ClientSettings, stop: threading.Event) -> Teacher:
    return open_teacher(order.teacher or settings.teacher, settings, order.terms, sleep=stop.wait)


def _choose(
    order: FetchOrder, manifest: Manifest, document: ModelDocument
) -> tuple[Wants, Sources]:
    templates = order.templates or tuple(document.prompt_templates) or (DEFAULT_TEMPLATE,)
    sources = [domain for domain in manifest.domains if domain not in order.targets]
    prompts = make_prompts(manifest, order.prompts, templates=templates, sources=sources)
    split = split_pictures(manifest, seed=order.split_seed)
    wants = choose_wants(
        manifest,
        split,
        prompts,
        purpose=order.purpose,
        targets=order.targets,
        narrow=order.narrowing.picker(manifest, order.targets),
        views=name_views(order.narrowing.views) or (FILE_VIEW,),
    )
    if order.purpose == "training":
        more = list_texts(manifest, wants.images, order.descriptions, order.captions)
        texts = {**wants.texts, **{digest_text(text): text for text in more}}
        wants = replace(wants, texts=texts)
    everything = {picture.digest: manifest.file(picture) for picture in manifest.pictures}
    return wants, Sources(everything, wants.texts, document.preprocessing.image_size)


def _run_with_bar(fetch: Fetch) -> None:
    with Progress(
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[cost]}"),
        TimeRemainingColumn(),
        console=errors(),
        transient=True,
    ) as bar:
        task = bar.add_task("buying", total=fetch.quote.to_buy, cost="")

        def advance(bought: Bought) -> None:
            paid = show_usd(fetch.receipt.cost_nanousd)
            bar.update(task, advance=len(bought.batch.digests), cost=paid)

        fetch.progress = advance
        fetch.run()


def _print(
    as_json: bool,
    manifest: Manifest,
    quote: Quote,
    receipt: Receipt | None,
    seconds: float,
    *,
    open_requests: int,
) -> None:
    if as_json:
        document: dict[str, Any] = describe_quote(quote, manifest) | {
            "open_requests": open_requests
        }
        if receipt is not None:
            document["receipt"] = describe_receipt(receipt, seconds)
        print_json(document)
    elif receipt is None:
        show_quote(quote, manifest, open_requests=open_requests)
    else:
        show_receipt(receipt, seconds)
        if open_requests and isinstance(receipt.stopped, FetchInterrupted):
            errors().print(f"{open_requests} requests are open; the next fetch closes them first")
