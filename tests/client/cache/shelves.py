"""A cache with bought vectors in it, for tests: every one has its receipt in the journal."""

from collections.abc import Sequence

import numpy as np

from client.budget import Batch, Budgets, ItemOutcome, Journal, Settlement
from client.cache import EmbeddingStore, Purpose
from client.cache.documents import TeacherDocument
from shared.codecs import Vector
from shared.wire import Modality
from tests.client.standin import StandInVendor

REVISION = "0123456789abcdef"
DIMENSION = 8
PRICE = 100


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def unit(number: int, size: int = DIMENSION) -> Vector:
    raw = np.random.default_rng(number).normal(size=size)
    return (raw / np.linalg.norm(raw)).astype(np.float32)


def make_document(revision: str = REVISION) -> TeacherDocument:
    vendor = StandInVendor(revision=revision, dimension=DIMENSION)
    return TeacherDocument.model_validate(vendor.model_document())


def buy(
    store: EmbeddingStore,
    numbers: Sequence[int],
    *,
    purpose: Purpose = "training",
    modality: Modality = "image",
    price: int = PRICE,
    revision: str = REVISION,
    view: str = "file",
    at_ns: int = 10**18,
    refused: Sequence[int] = (),
    key: str | None = None,
) -> str:
    """Plan, send, store and settle one request for these; the vectors of `refused` never come."""
    journal = Journal(store.database, clock=lambda: at_ns)
    if Budgets(store.database).get("run") is None:
        Budgets(store.database).set_cap("run", 10**9)
    store.put_model(make_document(revision))
    batch = Batch(
        run="run",
        idempotency_key=key or f"{revision}-{modality}-{view}-{numbers[0]}",
        model_id="toy",
        revision=revision,
        modality=modality,
        purpose=purpose,
        digests=tuple(map(digest, numbers)),
        max_cost_nanousd=len(numbers) * price,
        view=view,
    )
    journal.plan(batch)
    journal.mark_sent(batch.idempotency_key)
    good = [number for number in numbers if number not in refused]
    vectors = {digest(number): unit(number) for number in good}
    store.put_many(revision, modality, vectors, purpose=purpose, view=view)
    failures = tuple(ItemOutcome(digest(number), "invalid_image", "damaged") for number in refused)
    journal.settle(batch.idempotency_key, Settlement(len(good) * price, failures=failures))
    return batch.idempotency_key
