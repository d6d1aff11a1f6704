"""What an earlier fetch left open is closed before anything new is bought."""

import threading

from client.acquire.purchase import Bought, Purchaser, ReplaysUsedUp, is_final
from client.api import VendorError
from client.budget import Entry

__all__ = ["recover"]


def recover(purchaser: Purchaser, run: str, *, stop: threading.Event | None = None) -> list[Bought]:
    """Close every open batch of the run, oldest first; what was charged is settled, once.

    A batch that was never sent gives its hold back. One that was is sent again under its old key,
    which the vendor answers free of charge if it had answered before; without its files at hand
    the vendor's record of charges decides. Raises VendorError when the vendor cannot be asked.
    Setting `stop` leaves the rest to the next start.
    """
    closed: list[Bought] = []
    for entry in purchaser.journal.unfinished(run):
        if stop is not None and stop.is_set():
            break
        bought = _recover(purchaser, entry)
        if bought is not None:
            closed.append(bought)
    return closed


def _recover(purchaser: Purchaser, entry: Entry) -> Bought | None:
    batch = entry.batch
    if entry.state == "planned":
        purchaser.journal.fail(batch.idempotency_key, "it was never sent")
        return None
    held = purchaser.store.held(batch.revision, batch.modality, batch.digests, view=batch.view)
    if held.issuperset(batch.digests) or not purchaser.sources.has(batch):
        return purchaser.close_by_charge(batch)
    try:
        return purchaser.buy(batch, sent_before=True)
    except ReplaysUsedUp:
        # Settled; its items are missing from the cache and come under a new key.
        return None
    except VendorError as error:
        if is_final(error):
            return purchaser.close_by_charge(batch)
        raise
