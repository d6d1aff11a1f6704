"""From folders to bought vectors: quote, then buy what is missing, within a budget, exactly once."""

from client.acquire.batches import MAX_BYTES, MAX_IMAGES, MAX_TEXTS
from client.acquire.catalogue import Catalogue, take_stock
from client.acquire.concurrency import IN_FLIGHT, Aimd, Retries
from client.acquire.fetch import Fetch
from client.acquire.forms import UNDECODABLE, Forms, choose_forms
from client.acquire.pixels import Pixels
from client.acquire.purchase import Bought, FetchInterrupted, FetchStopped, Purchaser
from client.acquire.quote import Quote, QuoteLine, make_quote
from client.acquire.receipts import Receipt
from client.acquire.recovery import recover
from client.acquire.runs import RunBusy, hold_run, name_run
from client.acquire.scratch import Scratch
from client.acquire.sources import Sources
from client.acquire.wants import Wants, check_targets, is_wanted

__all__ = [
    "IN_FLIGHT",
    "MAX_BYTES",
    "MAX_IMAGES",
    "MAX_TEXTS",
    "UNDECODABLE",
    "Aimd",
    "Bought",
    "Catalogue",
    "Fetch",
    "FetchInterrupted",
    "FetchStopped",
    "Forms",
    "Pixels",
    "Purchaser",
    "Quote",
    "QuoteLine",
    "Receipt",
    "Retries",
    "RunBusy",
    "Scratch",
    "Sources",
    "Wants",
    "check_targets",
    "choose_forms",
    "hold_run",
    "is_wanted",
    "make_quote",
    "name_run",
    "recover",
    "take_stock",
]
