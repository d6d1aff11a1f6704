"""Under which idempotency key a request goes out."""

from dataclasses import replace
from itertools import count

from client.acquire.batches import derive_key
from client.budget import Batch, Journal

__all__ = ["name_request"]


def name_request(batch: Batch, journal: Journal, renderer: str) -> Batch:
    """The batch under its key; the next attempt's where the vendor closed one without vectors."""
    for attempt in count():
        key = derive_key(
            run=batch.run,
            model=batch.model,
            modality=batch.modality,
            digests=batch.digests,
            attempt=attempt,
            view=batch.view,
            renderer=renderer,
        )
        if not journal.is_spent(key):
            return replace(batch, idempotency_key=key)
    raise AssertionError("count() has no end")
