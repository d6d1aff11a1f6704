"""From folders to bought vectors: quote, then buy what is missing, within a budget, exactly once."""

from client.acquire.batches import MAX_BYTES, MAX_IMAGES, MAX_TEXTS
from client.acquire.fetch import Fetch, Receipt
from client.acquire.purchase import Bought, FetchInterrupted, FetchStopped, Purchaser
from client.acquire.quote import Quote, QuoteLine, make_quote
from client.acquire.recovery import recover
from client.acquire.runs import RunBusy, hold_run, name_run
from client.acquire.sources import Sources
from client.acquire.wants import Wants, choose_images, choose_wants

__all__ = [
    "MAX_BYTES",
    "MAX_IMAGES",
    "MAX_TEXTS",
    "Bought",
    "Fetch",
    "FetchInterrupted",
    "FetchStopped",
    "Purchaser",
    "Quote",
    "QuoteLine",
    "Receipt",
    "RunBusy",
    "Sources",
    "Wants",
    "choose_images",
    "choose_wants",
    "hold_run",
    "make_quote",
    "name_run",
    "recover",
]
