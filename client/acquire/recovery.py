"""What an earlier fetch left open is closed before anything new is bought."""

import threading

from client.acquire.purchase import Bought, Purchaser
from client.failpoints import reach

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
        reach("recovering")
        bought = purchaser.resume(entry)
        if bought is not None:
            closed.append(bought)
    return closed
