"""Whether everything in the cache is what it should be: pages, vectors, documents, and what was paid."""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pydantic import ValidationError
from sqlalchemy import Connection, exists, func, select

from client.cache.database import Database
from client.cache.integrity import check_integrity
from client.cache.receipts import brought, join_requests
from client.cache.tables import embedding, journal, journal_item, model_document
from client.cache.vectors import STORED
from shared.digests import DIGEST_BYTES
from shared.wire import ModelDocument

PAGE = 4096
"""Vectors looked at together."""
UNIT_TOLERANCE = 2.0**-10
"""How far a unit vector's length may be off: each number of it is rounded by at most 2⁻¹¹ of itself."""

__all__ = ["UNIT_TOLERANCE", "Problem", "Verification", "find_faults", "verify_cache"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing that is wrong, with how many vectors or documents have it and the first of them."""

    kind: str
    count: int
    said: str


@dataclass(slots=True)
class Verification:
    """What was found."""

    vectors: int = 0
    """Looked at."""
    unjournalled: int = 0
    """Of these, not bought here: imported, or put in by a program. No problem."""
    problems: list[Problem] = field(default_factory=list)


def verify_cache(
    database: Database, *, progress: Callable[[int], None] = lambda looked: None
) -> Verification:
    """Look at every vector and every settled request; changes nothing.

    `progress` is told how many vectors were looked at since it was last told. Raises CacheError when
    SQLite itself finds its file damaged.
    """
    check_integrity(database)
    found = Verification()
    with database.read() as connection:
        found.problems += _check_documents(connection)
        dimensions = find_dimensions(connection)
    found.problems += _check_vectors(database, dimensions, found, progress)
    with database.read() as connection:
        found.problems += _check_deliveries(connection)
        query = select(func.count()).select_from(embedding)
        bought = exists(join_requests(select(1)).where(brought()).correlate(embedding))
        found.unjournalled = connection.execute(query.where(~bought)).scalar_one()
    return found


def find_dimensions(connection: Connection) -> dict[str, int]:
    """Revision → numbers a vector of it has, as its document says, else as most of them are."""
    sizes: dict[str, Counter[int]] = defaultdict(Counter)
    size = func.length(embedding.c.vector)
    query = select(embedding.c.revision, size, func.count()).group_by(embedding.c.revision, size)
    for revision, length, count in connection.execute(query):
        sizes[revision][length // STORED.itemsize] += count
    common = {revision: counts.most_common(1)[0][0] for revision, counts in sizes.items()}
    return common | {
        document.revision: document.dimension for document in _read_documents(connection)
    }


def find_faults(vectors: np.ndarray[Any, Any]) -> list[str | None]:
    """Of each row of float16[n, d]: what is wrong with it as a unit vector; None for a good one."""
    wide = vectors.astype(np.float32)
    finite = np.isfinite(wide).all(axis=1)
    lengths = np.linalg.norm(np.where(finite[:, None], wide, 0), axis=1)
    return [
        "not finite" if not whole else "not of unit length" if off else None
        for whole, off in zip(finite, np.abs(lengths - 1) > UNIT_TOLERANCE, strict=True)
    ]


def _check_vectors(
    database: Database,
    dimensions: Mapping[str, int],
    found: Verification,
    progress: Callable[[int], None],
) -> list[Problem]:
    faults: Counter[tuple[str, str, str]] = Counter()
    first: dict[tuple[str, str, str], str] = {}
    for rows in _pages(database):
        for row, fault in zip(rows, _judge(rows, dimensions), strict=True):
            if fault is not None:
                place = (row.revision, row.modality, fault)
                faults[place] += 1
                first.setdefault(place, row.digest.hex()[:12])
        found.vectors += len(rows)
        progress(len(rows))
    return [
        Problem(
            fault,
            count,
            f"{count} {modality} vectors of revision {revision} are {fault}, first {first[place]}: "
            f"put the cache's copy back, or drop them and run the fetch again",
        )
        for place, count in sorted(faults.items())
        for revision, modality, fault in [place]
    ]


def _pages(database: Database) -> Iterator[Sequence[Any]]:
    last = 0
    columns = (embedding.c.id, embedding.c.revision, embedding.c.modality)
    query = select(*columns, embedding.c.digest, embedding.c.vector).order_by(embedding.c.id)
    while True:
        with database.read() as connection:
            rows = connection.execute(query.where(embedding.c.id > last).limit(PAGE)).all()
        if not rows:
            return
        yield rows
        last = rows[-1].id


def _judge(rows: Sequence[Any], dimensions: Mapping[str, int]) -> list[str | None]:
    faults: list[str | None] = [None] * len(rows)
    whole: dict[int, list[int]] = defaultdict(list)
    for index, row in enumerate(rows):
        wanted = dimensions[row.revision] * STORED.itemsize
        if len(row.digest) != DIGEST_BYTES:
            faults[index] = "under a digest that is none"
        elif len(row.vector) != wanted:
            faults[index] = f"not {dimensions[row.revision]} numbers long"
        else:
            whole[wanted].append(index)
    for size, indices in whole.items():
        joined = b"".join(rows[index].vector for index in indices)
        vectors = np.frombuffer(joined, STORED).reshape(len(indices), size // STORED.itemsize)
        for index, fault in zip(indices, find_faults(vectors), strict=True):
            faults[index] = fault
    return faults


def _check_documents(connection: Connection) -> list[Problem]:
    problems = []
    for row in connection.execute(select(model_document)):
        try:
            document = ModelDocument.model_validate_json(row.document)
            same = (document.id, document.revision) == (row.model_id, row.revision)
        except ValidationError:
            same = False
        if not same:
            said = f"the document of {row.model_id}@{row.revision} is not one: run a fetch of the model"
            problems.append(Problem("document", 1, said))
    return problems


def _read_documents(connection: Connection) -> Iterator[ModelDocument]:
    for text in connection.execute(select(model_document.c.document)).scalars():
        try:
            yield ModelDocument.model_validate_json(text)
        except ValidationError:
            continue


def _check_deliveries(connection: Connection) -> list[Problem]:
    """What was paid for and is not here, although nobody dropped it."""
    here = exists(select(1).select_from(embedding).where(brought()).correlate_except(embedding))
    query = (
        join_requests(select(journal.c.run, journal.c.idempotency_key, func.count()))
        .where(
            journal.c.state == "settled",
            journal.c.problem.is_(None),
            journal_item.c.error_code.is_(None),
            journal_item.c.dropped_ns.is_(None),
            ~here,
        )
        .group_by(journal.c.id, journal.c.run, journal.c.idempotency_key)
        .order_by(journal.c.id)
    )
    missing: dict[str, int] = defaultdict(int)
    for run, _, count in connection.execute(query):
        missing[run] += count
    return [
        Problem(
            "missing",
            count,
            f"{count} vectors that run {run} has paid for are not here: run its fetch again, the "
            "vendor repeats them free of charge",
        )
        for run, count in missing.items()
    ]
