"""Which items travel together, and the idempotency key that makes a request one purchase."""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence

from client.acquire.scratch import Table
from client.cache.store import FILE_VIEW
from shared.wire import Modality

MAX_IMAGES = 64
MAX_TEXTS = 256
MAX_BYTES = 16_000_000
"""Bytes of items a request, as they travel (base64)."""

__all__ = [
    "MAX_BYTES",
    "MAX_IMAGES",
    "MAX_TEXTS",
    "derive_key",
    "make_batches",
    "measure_batches",
    "wire_size",
]


def make_batches(
    modality: Modality, sizes: Mapping[bytes, int], *, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[bytes, ...]]:
    """The digests of `measure_batches`, without the bytes."""
    return (digests for digests, _ in measure_batches(modality, sizes, max_bytes=max_bytes))


def measure_batches(
    modality: Modality, sizes: Mapping[bytes, int], *, max_bytes: int = MAX_BYTES
) -> Iterator[tuple[tuple[bytes, ...], int]]:
    """The digests of `sizes` (bytes each on the wire) in sorted order, cut into requests, and the bytes
    of each request.

    The same digests give the same requests on any machine, in any order of finding them. A table on
    disk is read as it is needed: in memory is one request's part.
    """
    most = MAX_IMAGES if modality == "image" else MAX_TEXTS
    batch: list[bytes] = []
    total = 0
    for digest, size in _in_order(sizes):
        if batch and (len(batch) == most or total + size > max_bytes):
            yield tuple(batch), total
            batch, total = [], 0
        batch.append(digest)
        total += size
    if batch:
        yield tuple(batch), total


def _in_order(sizes: Mapping[bytes, int]) -> Iterable[tuple[bytes, int]]:
    # A table has its rows in order.
    return sizes.items() if isinstance(sizes, Table) else sorted(sizes.items())


def derive_key(
    *,
    run: str,
    model: str,
    modality: Modality,
    digests: Sequence[bytes],
    attempt: int,
    view: str = FILE_VIEW,
    renderer: str = "",
) -> str:
    """The key of a request: what is asked decides it, so asking again is the same purchase.

    `attempt` counts requests of the same content that ended for good without its vectors.
    `renderer` says what draws a view's bytes: drawn by another, they are another content.
    """
    digest = hashlib.sha256()
    drawn = () if view == FILE_VIEW else (view, renderer)
    for part in (run, model, modality, str(attempt), *drawn):
        digest.update(len(part.encode()).to_bytes(4, "big") + part.encode())
    for item in digests:
        digest.update(item)
    return f"fetch-{digest.hexdigest()}"


def wire_size(size: int) -> int:
    """Bytes of an image of `size` bytes in base64."""
    return (size + 2) // 3 * 4
