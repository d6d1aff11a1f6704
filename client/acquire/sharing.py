"""Two runs that want the same items at once: one buys them, the other takes them from the cache."""

from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING

from client.acquire.errors import FetchInterrupted
from client.acquire.keys import name_request
from client.acquire.runs import RunBusy, hold_run
from client.budget import Batch, Entry
from client.budget.entries import UNDER_WAY

if TYPE_CHECKING:
    from client.acquire.purchase import Purchaser

PAUSE = 0.1
"""Seconds between two looks at what another run has under way."""
MEANWHILE = "another run has bought them meanwhile"

__all__ = ["leave_out", "take_turn"]


def take_turn(purchaser: "Purchaser", batch: Batch) -> frozenset[bytes]:
    """Mark a planned batch as sent; or, left as it is, those of its items that are here by now.

    Waits for other runs that are buying items of it, and closes what a run that has ended left open.
    Raises FetchInterrupted when the wait is cut short.
    """
    key, journal = batch.idempotency_key, purchaser.journal
    lost: set[str] = set()
    while True:
        claim = journal.claim(key, besides=lost)
        if not claim.rivals:
            return claim.bought
        rivals = claim.rivals
        while rivals:
            lost.update(_settle_left(purchaser, rivals))
            rivals = journal.rivals(key, besides=lost)
            if rivals and purchaser.sleep(PAUSE):
                journal.fail(key, "interrupted before it was sent")
                raise FetchInterrupted(
                    "interrupted; everything bought is saved: run the same command again to go on"
                )


def leave_out(purchaser: "Purchaser", batch: Batch, bought: frozenset[bytes]) -> Batch | None:
    """The planned batch without the items that another run has bought; None when none is left."""
    store, key = purchaser.store, batch.idempotency_key
    if batch.purpose == "training":
        store.promote(batch.revision, batch.modality, sorted(bought), view=batch.view)
    rest = tuple(digest for digest in batch.digests if digest not in bought)
    if not rest:
        purchaser.journal.fail(key, MEANWHILE)
        return None
    price = batch.max_cost_nanousd // len(batch.digests)
    smaller = replace(batch, digests=rest, max_cost_nanousd=len(rest) * price)
    smaller = name_request(smaller, purchaser.journal, purchaser.sources.renderer)
    purchaser.journal.narrow(key, smaller, MEANWHILE)
    return smaller


def _settle_left(purchaser: "Purchaser", rivals: tuple[Entry, ...]) -> list[str]:
    """Close the requests of runs that nobody is buying for; answers the keys that cannot be closed.

    Those ask for content that is not at hand, so that only their own run can fetch it.
    """
    lost = []
    for rival in rivals:
        with (
            suppress(RunBusy),
            hold_run(purchaser.store.database, rival.batch.run),
        ):
            now = purchaser.journal.get(rival.batch.idempotency_key)
            if now is None or now.state not in UNDER_WAY:
                continue
            if purchaser.sources.has(now.batch):
                purchaser.resume(now)
            else:
                lost.append(rival.batch.idempotency_key)
    return lost
