"""Quotes and receipts, for a person and as JSON."""

from typing import Any

from client.acquire import Quote, Receipt
from client.cli.screen import print_table, results
from client.data import Manifest
from shared.money import format_usd, show_usd

SHOWN = 10
"""Files listed by name before the rest is only counted."""

__all__ = ["describe_quote", "describe_receipt", "show_quote", "show_receipt"]


def show_quote(quote: Quote, manifest: Manifest, *, open_requests: int = 0) -> None:
    """What is wanted, cached and to buy, and the money there is for it."""
    out = results()
    document = quote.document
    out.print(f"{document.id}@{document.revision}, for {quote.wants.purpose}, run {quote.run}")
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
    if open_requests:
        out.print(f"{open_requests} requests of an earlier fetch are open and closed first")
    _list(
        "unreadable, not sent",
        [f"{path}: {reason}" for path, reason in manifest.unreadable],
    )
    names = {digest: str(path) for digest, path in quote.wants.images.items()}
    names |= {digest: repr(text) for digest, text in quote.wants.texts.items()}
    _list(
        "refused before, free, not sent again",
        [f"{names[f.digest]}: {f.message}" for line in quote.lines for f in line.refused],
    )


def show_receipt(receipt: Receipt, seconds: float) -> None:
    """What was bought and what it cost by the vendor's receipts."""
    out = results()
    balance = (
        "" if receipt.balance_nanousd is None else f"; balance {show_usd(receipt.balance_nanousd)}"
    )
    recovered = f" ({receipt.recovered} asked for before)" if receipt.recovered else ""
    out.print(
        f"bought {receipt.items['image']} images and {receipt.items['text']} texts{recovered} in "
        f"{receipt.requests} requests for {show_usd(receipt.cost_nanousd)} in {seconds:.1f} s"
        f"{balance}"
    )
    _list(
        "refused by the vendor, free",
        [f"{failure.digest.hex()[:12]}: {failure.message}" for failure in receipt.failures],
    )


def describe_quote(quote: Quote, manifest: Manifest) -> dict[str, Any]:
    """The quote as JSON; money as decimal dollars with nine places."""
    budget, balance = quote.budget, quote.balance_nanousd
    return {
        "model": quote.document.id,
        "revision": quote.document.revision,
        "purpose": quote.wants.purpose,
        "run": quote.run,
        "lines": [
            {
                "modality": line.modality,
                "view": line.view,
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
        "cost_usd": format_usd(quote.cost_nanousd),
        "budget_left_usd": format_usd(budget.left_nanousd) if budget else None,
        "balance_usd": None if balance is None else format_usd(balance),
        "unreadable": [{"path": path, "reason": why} for path, why in manifest.unreadable],
    }


def describe_receipt(receipt: Receipt, seconds: float) -> dict[str, Any]:
    """The receipt as JSON."""
    balance = receipt.balance_nanousd
    return {
        "images": receipt.items["image"],
        "texts": receipt.items["text"],
        "recovered": receipt.recovered,
        "requests": receipt.requests,
        "cost_usd": format_usd(receipt.cost_nanousd),
        "balance_usd": None if balance is None else format_usd(balance),
        "seconds": round(seconds, 3),
        "refused": [
            {"digest": f.digest.hex(), "code": f.code, "message": f.message}
            for f in receipt.failures
        ],
        "stopped": str(receipt.stopped) if receipt.stopped else None,
    }


def _list(title: str, lines: list[str]) -> None:
    if not lines:
        return
    out = results()
    out.print(f"{len(lines)} {title}:")
    for line in lines[:SHOWN]:
        out.print(f"  {line}", markup=False)
    if len(lines) > SHOWN:
        out.print(f"  … and {len(lines) - SHOWN} more (--json lists all)")
