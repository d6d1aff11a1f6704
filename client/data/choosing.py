"""Which pictures the teacher is asked about when not all of them are: four rules, all nested.

Each rule puts a domain's pictures in an order, and a share of them is the beginning of that order.
So a smaller share is always a part of a larger one, and no domain's choice depends on which other
domains there are: one purchase serves every target domain.
"""

import hashlib
from collections.abc import Sequence
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from client.data.manifest import Manifest

Selection = Literal["random", "stratified", "k-center", "uncertainty"]
SELECTIONS: tuple[Selection, ...] = get_args(Selection)
Order = NDArray[np.int64]
"""int64[n]: positions of all n pictures, the first to be asked about first."""
Floats = NDArray[np.floating]

__all__ = [
    "SELECTIONS",
    "Selection",
    "choose_pictures",
    "count_share",
    "order_k_center",
    "order_randomly",
    "order_stratified",
    "order_uncertain",
]


def choose_pictures(
    manifest: Manifest,
    rows: Sequence[int],
    share: float,
    selection: Selection,
    *,
    seed: int = 0,
    features: Floats | None = None,
    margins: Floats | None = None,
) -> list[int]:
    """The share of the rows to ask about, ascending: `count_share` of each domain's.

    features: float[len(rows), d] of a student, for k-center. margins: float[len(rows)], how sure a
    student is of each, for uncertainty. Raises ValueError when the rule's own input is missing.
    """
    given = np.asarray(rows, dtype=np.int64)
    domains = np.array([manifest.pictures[row].domain for row in rows])
    chosen: list[int] = []
    for domain in np.unique(domains):
        places = np.flatnonzero(domains == domain)
        pictures = [manifest.pictures[row] for row in given[places]]
        draws = _draw([picture.digest for picture in pictures], seed)
        if selection == "random":
            order = order_randomly(draws)
        elif selection == "stratified":
            order = order_stratified([picture.label for picture in pictures], draws)
        elif selection == "k-center":
            order = order_k_center(_require(features, "features")[places], draws)
        else:
            order = order_uncertain(_require(margins, "margins")[places], draws)
        chosen += given[places[order[: count_share(len(places), share)]]].tolist()
    return sorted(chosen)


def count_share(pictures: int, share: float) -> int:
    """How many a share of a domain's pictures is: rounded, at least one of a share above zero."""
    if not 0 <= share <= 1:
        raise ValueError(f"a share lies between 0 and 1, not {share}")
    return min(pictures, max(1, round(share * pictures))) if share else 0


def order_randomly(draws: Floats) -> Order:
    """By chance alone. draws: float[n], a number for each picture."""
    return np.argsort(draws, kind="stable")


def order_stratified(labels: Sequence[str], draws: Floats) -> Order:
    """One of each class first, then every class at its own share; by chance within a class."""
    classes = np.array(labels)
    rank, size = np.zeros(len(classes), dtype=np.int64), np.ones(len(classes), dtype=np.int64)
    for name in np.unique(classes):
        mine = np.flatnonzero(classes == name)
        rank[mine[order_randomly(draws[mine])]] = np.arange(len(mine))
        size[mine] = len(mine)
    later = np.where(rank == 0, 0.0, (rank + 0.5) / size)
    return np.lexsort((draws, later))


def order_k_center(features: Floats, draws: Floats) -> Order:
    """Farthest first: each next picture is the one least like all before it.

    features: float[n, d], compared by cosine. The first is drawn by chance. The greedy order of
    Gonzalez (1985): every beginning of it covers the pictures within twice the best radius.
    """
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    units = (features / np.maximum(lengths, 1e-12)).astype(np.float64)
    nearest = np.full(len(units), np.inf)
    order = np.empty(len(units), dtype=np.int64)
    if not len(units):
        return order
    best = int(np.argmin(draws))
    for place in range(len(units)):
        order[place] = best
        nearest = np.minimum(nearest, 1 - units @ units[best])
        nearest[best] = -np.inf
        best = int(np.argmax(nearest))
    return order


def order_uncertain(margins: Floats, draws: Floats) -> Order:
    """The least sure first. margins: float[n], the likeliest class's lead over the next."""
    return np.lexsort((draws, margins))


def _draw(digests: Sequence[bytes], seed: int) -> NDArray[np.float64]:
    """float64[n] in [0, 1): chance that belongs to (seed, content), whatever else is there."""
    hashes = [
        hashlib.sha256(f"query:{seed}:{digest.hex()}".encode()).digest() for digest in digests
    ]
    return np.array([int.from_bytes(h[:8], "big") / 2**64 for h in hashes], dtype=np.float64)


def _require(values: Floats | None, name: str) -> Floats:
    if values is None:
        raise ValueError(f"this selection needs {name}")
    return values
