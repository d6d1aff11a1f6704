"""Quotes and receipts, for a person and as JSON."""

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import Any

from rich.filesize import decimal

from client.acquire import UNDECODABLE, Aimd, Catalogue, Quote, Receipt
from client.budget import ItemOutcome
from client.cli.screen import print_table, results
from shared.money import format_usd, show_usd

SENT = {"original": "of picture files", "pixels": "of pixels", "texts": "of texts"}
SHOWN = 10
"""Files listed by name before the rest is only counted."""

__all__ = ["describe_quote", "describe_receipt", "show_quote", "show_receipt"]


def show_quote(quote: Quote, catalogue: Catalogue, *, open_requests: int = 0) -> None:
    """What is wanted, cached and to buy, and the money there is for it."""
    out = results()
    document = quote.document
    project = f"project {quote.budget.project.name}, " if quote.budget else ""
    out.print(
        f"{document.id}@{document.revision}, for {quote.wants.purpose}, {project}run {quote.run}"
    )
    twice = (
        f", {catalogue.duplicates:,} of them the same as another" if catalogue.duplicates else ""
    )
    out.print(f"{catalogue.files:,} readable pictures in the data{twice}")
    print_table(
        ["", "distinct", "cached", "refused", "to buy", "price", "cost at most"],
        [
            (
                line.title,
                line.distinct,
                line.cached,
                len(line.refused),
                len(line.missing),
                show_usd(line.price_nanousd),
                show_usd(line.cost_nanousd),
            )
            for line in quote.lines
        ],
    )
    left = show_usd(quote.budget.left_nanousd) if quote.budget else "none set"
    balance = "unknown" if quote.balance_nanousd is None else show_usd(quote.balance_nanousd)
    out.print(
        f"{quote.to_buy} to buy for {show_usd(quote.cost_nanousd)} at most; "
        f"budget left {left}; balance {balance}"
    )
    if len(sizes := quote.upload_bytes) > 1:
        said = ", ".join(f"{decimal(size)} with --upload {name}" for name, size in sizes.items())
        out.print(f"pictures travel as {quote.forms.upload}: {said}")
    if open_requests:
        out.print(f"{open_requests} requests of an earlier fetch are open and closed first")
    _list(
        "unreadable, not sent",
        len(catalogue.unreadable),
        (f"{path}: {reason}" for path, reason in catalogue.unreadable.items()),
    )
    _list(
        "refused before, free, not sent again",
        sum(len(line.refused) for line in quote.lines),
        _name_refused(quote),
    )


def _name_refused(quote: Quote) -> Iterator[str]:
    for line in quote.lines:
        for refusal in line.refused:
            yield _name(quote, refusal)


def _name(quote: Quote, failure: ItemOutcome) -> str:
    wants, digest = quote.wants, failure.digest
    if digest in wants.texts:
        return f"{wants.texts[digest]!r}: {failure.message}"
    # An earlier fetch, recovered by this one, may have asked for others.
    path = wants.images.get(digest)
    return f"{path or digest.hex()[:12]}: {failure.message}"


def show_receipt(receipt: Receipt, quote: Quote) -> None:
    """What was bought and what it cost by the vendor's receipts, how fast it went, what is left."""
    out = results()
    left, balance = receipt.budget_left_nanousd, receipt.balance_nanousd
    recovered = f" ({receipt.recovered} asked for before)" if receipt.recovered else ""
    out.print(
        f"bought {receipt.items['image']} images and {receipt.items['text']} texts{recovered} in "
        f"{receipt.requests} requests for {show_usd(receipt.cost_nanousd)} in "
        f"{receipt.seconds:.1f} s"
        + ("" if left is None else f"; budget left {show_usd(left)}")
        + ("" if balance is None else f"; balance {show_usd(balance)}")
    )
    if receipt.window is not None and receipt.requests:
        out.print(
            f"{receipt.rate:.1f} items/s; up to {receipt.window.peak} requests at once; "
            f"{receipt.retries} tries made again"
        )
    if receipt.sent_bytes:
        sent = (f"{decimal(n)} {SENT[kind]}" for kind, n in sorted(receipt.sent_bytes.items()))
        out.print(f"uploaded {', '.join(sent)}")
    for code, items in receipt.reasons.items():
        out.print(f"{items} refused as {code}")
    for title, here in (
        ("refused by the vendor, free", False),
        ("cannot be decoded here, not sent", True),
    ):
        failures = [f for f in receipt.failures if (f.code == UNDECODABLE) == here]
        _list(title, len(failures), (_name(quote, failure) for failure in failures))


def describe_quote(quote: Quote, catalogue: Catalogue) -> dict[str, Any]:
    """The quote as JSON; money as decimal dollars with nine places."""
    budget, balance = quote.budget, quote.balance_nanousd
    return {
        "model": quote.document.id,
        "revision": quote.document.revision,
        "purpose": quote.wants.purpose,
        "run": quote.run,
        "project": budget.project.name if budget else None,
        "files": catalogue.files,
        "duplicates": catalogue.duplicates,
        "lines": [
            {
                "modality": line.modality,
                "view": line.view,
                "form": line.form,
                "distinct": line.distinct,
                "cached": line.cached,
                "refused": len(line.refused),
                "to_buy": len(line.missing),
                "price_usd": format_usd(line.price_nanousd),
                "cost_usd": format_usd(line.cost_nanousd),
            }
            for line in quote.lines
        ],
        "to_buy": quote.to_buy,
        "upload": quote.forms.upload,
        "upload_bytes": quote.upload_bytes,
        "cost_usd": format_usd(quote.cost_nanousd),
        "budget_left_usd": format_usd(budget.left_nanousd) if budget else None,
        "balance_usd": None if balance is None else format_usd(balance),
        "unreadable": [{"path": path, "reason": why} for path, why in catalogue.unreadable.items()],
    }


def describe_receipt(receipt: Receipt) -> dict[str, Any]:
    """The receipt as JSON."""
    balance, left, window = receipt.balance_nanousd, receipt.budget_left_nanousd, receipt.window
    return {
        "images": receipt.items["image"],
        "texts": receipt.items["text"],
        "recovered": receipt.recovered,
        "requests": receipt.requests,
        "retries": receipt.retries,
        "uploaded_bytes": receipt.sent_bytes,
        "cost_usd": format_usd(receipt.cost_nanousd),
        "budget_left_usd": None if left is None else format_usd(left),
        "balance_usd": None if balance is None else format_usd(balance),
        "seconds": round(receipt.seconds, 3),
        "items_per_second": round(receipt.rate, 1),
        "in_flight": window and _describe_window(window),
        "refused": [
            {"digest": f.digest.hex(), "code": f.code, "message": f.message}
            for f in receipt.failures
        ],
        "refused_by_reason": receipt.reasons,
        "stopped": str(receipt.stopped) if receipt.stopped else None,
    }


def _describe_window(window: Aimd) -> dict[str, Any]:
    began = window.trace[0].at if window.trace else 0.0
    return {
        "most": window.ceiling,
        "peak": window.peak,
        "final": window.limit,
        "trace": [
            {"seconds": round(step.at - began, 3), "limit": step.limit, "why": step.why}
            for step in window.trace
        ],
    }


def _list(title: str, count: int, lines: Iterable[str]) -> None:
    if not count:
        return
    out = results()
    out.print(f"{count} {title}:")
    for line in islice(lines, SHOWN):
        out.print(f"  {line}", markup=False)
    if count > SHOWN:
        out.print(f"  … and {count - SHOWN} more (--json lists all)")
