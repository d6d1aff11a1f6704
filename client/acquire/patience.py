"""A vendor that asks to go slower is waited for: that is no reason to end a fetch."""

from client.acquire.concurrency import Retries
from client.acquire.purchase import Bought, FetchInterrupted, Purchaser
from client.api import RateLimitError, Retry
from client.api.retry import MAX_DELAY, MAX_RETRY_AFTER, read_date, read_retry_after
from client.budget import Batch
from shared.errors import ErrorCode

PATIENCE = 600.0
"""Seconds for one request that is refused for speed alone, again and again."""

__all__ = ["PATIENCE", "buy_patiently"]


def buy_patiently(purchaser: Purchaser, batch: Batch, retries: Retries) -> Bought:
    """Buy a planned batch; one that stays rate limited is sent again, under its key, when it may be.

    Raises what `Purchaser.buy` does; RateLimitError when the vendor asks for too long a wait or the
    seconds of patience are over, FetchInterrupted when the wait is cut short.
    """
    began, sent_before = retries.clock(), False
    while True:
        try:
            return purchaser.buy(batch, sent_before=sent_before)
        except RateLimitError as error:
            tried = retries.clock()
            delay = _find_delay(error, purchaser.clock())
            if delay is None or tried + delay - began > PATIENCE or not _is_open(purchaser, batch):
                raise
            # How long the last try took, the SDK knows; the limit falls once for them all anyway.
            retries.hear(Retry(error, 0.0, delay))
            if purchaser.sleep(delay):
                raise FetchInterrupted(
                    "interrupted; everything bought is saved: run the same command again to go on"
                ) from error
            sent_before = True


def _is_open(purchaser: Purchaser, batch: Batch) -> bool:
    """Whether the journal still waits for an answer under the batch's own key."""
    entry = purchaser.journal.get(batch.idempotency_key)
    return entry is not None and entry.state in ("sent", "unknown")


def _find_delay(error: RateLimitError, now: float) -> float | None:
    """Seconds until the request may come again; None when it may not."""
    if error.code != ErrorCode.RATE_LIMITED:
        return None
    asked = read_retry_after(error.headers, read_date(error.headers, now))
    if asked is None:
        return MAX_DELAY
    return asked if asked <= MAX_RETRY_AFTER else None
