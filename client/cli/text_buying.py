"""Buying a few texts for a command that needs them: quote, then one request, within a budget."""

import threading
import time
from collections.abc import Collection
from contextlib import closing

from client.acquire import (
    Fetch,
    Pixels,
    Purchaser,
    Receipt,
    Sources,
    Wants,
    choose_forms,
    hold_run,
    make_quote,
    recover,
)
from client.budget import Budgets, Journal
from client.cache import EmbeddingStore
from client.cache.documents import TeacherDocument
from client.cli.screen import errors
from client.errors import UsageError
from client.settings import ClientSettings
from client.teachers import open_teacher
from shared.digests import digest_text
from shared.money import show_usd

__all__ = ["buy_texts"]


def buy_texts(
    texts: Collection[str], model: str, run: str, cap_nanousd: int | None, store: EmbeddingStore
) -> Receipt:
    """Buy the texts that the cache lacks, journalled and within the run's budget; says what it does.

    model: `id@revision`, because vectors of another revision would lie in another space. Raises
    UsageError without a budget, BudgetReached, VendorError.
    """
    began, stop = time.monotonic(), threading.Event()
    wants = Wants("evaluation", {}, {digest_text(text): text for text in texts})
    journal, budgets = Journal(store.database), Budgets(store.database)
    settings = ClientSettings.load()
    _require_kind(settings.teacher, store.model(model))
    teacher = open_teacher(settings.teacher, settings)
    with closing(teacher), hold_run(store.database, run):
        document = teacher.describe(model.partition("@")[0], store.list_models)
        _require_revision(document, model)
        forms = choose_forms("original", document, Pixels(document))
        purchaser = Purchaser(
            teacher, store, journal, Sources({}, wants.texts), document.rebuy_free_days, forms
        )
        receipt = Receipt()
        for bought in recover(purchaser, run, stop=stop):
            receipt.add(bought)
        quote = make_quote(wants, document, store=store, journal=journal, run=run, forms=forms)
        cost = show_usd(quote.cost_nanousd)
        errors().print(f"{quote.to_buy} class texts to buy for {cost} at most", markup=False)
        if cap_nanousd is not None:
            budgets.set_cap(run, cap_nanousd)
        elif quote.to_buy and budgets.get(run) is None and not quote.cost_nanousd:
            budgets.set_cap(run, 0)
        elif quote.to_buy and budgets.get(run) is None:
            raise UsageError(
                f"say how many dollars this may cost: --budget {cost.lstrip('$')} covers it"
            )
        Fetch(purchaser, budgets, quote, stop=stop, receipt=receipt).run()
    if receipt.stopped is not None:
        raise receipt.stopped
    errors().print(
        f"bought {receipt.items['text']} texts for {show_usd(receipt.cost_nanousd)} in "
        f"{time.monotonic() - began:.1f} s",
        markup=False,
    )
    return receipt


def _require_kind(spec: str, document: TeacherDocument) -> None:
    """Raises UsageError when the settings name another kind of teacher than the student's."""
    kind = document.teacher.partition(":")[0]
    if spec.partition(":")[0] != kind:
        raise UsageError(
            f"this student learned from {document.teacher}, and the settings say to ask {spec}: type "
            f"`vl2v config --teacher {document.teacher}`, or set VL2V_TEACHER"
        )


def _require_revision(document: TeacherDocument, model: str) -> None:
    if document.name == model:
        return
    raise UsageError(
        f"the teacher now answers as {document.name}, and this student answers in the space of "
        f"{model}, whose texts can be bought no more: train again on the new revision"
    )
