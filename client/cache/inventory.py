"""What the cache holds: vectors by what they are, space on disk, what they cost, how old they are."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, func, select, true

from client.cache.database import Database
from client.cache.receipts import brought, join_requests, stored_at
from client.cache.store import Purpose
from client.cache.tables import embedding, journal, model_document
from shared.wire import Modality

Key = tuple[str, Modality, Purpose, str]
"""Revision, modality, purpose, view."""

KEY = (embedding.c.revision, embedding.c.modality, embedding.c.purpose, embedding.c.view)

__all__ = ["KEY", "Inventory", "Key", "Shelf", "find_models", "sum_receipts", "take_inventory"]


@dataclass(frozen=True, slots=True)
class Shelf:
    """Vectors of one kind."""

    models: tuple[str, ...]
    """Ids under which the revision was bought."""
    revision: str
    modality: Modality
    purpose: Purpose
    view: str
    vectors: int
    vector_bytes: int
    paid_nanousd: int
    """Their share of the journal's receipts; nothing for vectors that were imported."""
    oldest_ns: int | None
    """When the first came, nanoseconds since 1970."""
    newest_ns: int | None


@dataclass(frozen=True, slots=True)
class Inventory:
    """Everything in the cache."""

    shelves: tuple[Shelf, ...]
    disk_bytes: int | None
    """Of the file and its log; None for a database server."""
    paid_nanousd: int
    """All receipts of the journal, those for vectors that are no longer here included."""

    @property
    def vectors(self) -> int:
        """All of them."""
        return sum(shelf.vectors for shelf in self.shelves)


def take_inventory(database: Database) -> Inventory:
    """Count everything, in one look at the database."""
    with database.read() as connection:
        models = find_models(connection)
        paid = sum_receipts(connection)
        counted = connection.execute(
            select(
                *KEY,
                func.count(),
                func.sum(func.length(embedding.c.vector)),
                func.min(stored_at()),
                func.max(stored_at()),
            )
            .group_by(*KEY)
            .order_by(*KEY)
        ).all()
        total = connection.execute(select(func.sum(journal.c.cost_nanousd))).scalar()
    shelves = [
        Shelf(
            models.get(revision, ()),
            revision,
            modality,
            purpose,
            view,
            count,
            int(size),
            paid.get((revision, modality, purpose, view), 0),
            oldest,
            newest,
        )
        for revision, modality, purpose, view, count, size, oldest, newest in counted
    ]
    return Inventory(tuple(shelves), _measure(database.file), int(total or 0))


def find_models(connection: Connection) -> dict[str, tuple[str, ...]]:
    """Revision → the ids under which it was bought, sorted."""
    found: dict[str, list[str]] = defaultdict(list)
    query = select(model_document.c.revision, model_document.c.model_id)
    for revision, name in connection.execute(query.order_by(model_document.c.model_id)):
        found[revision].append(name)
    return {revision: tuple(names) for revision, names in found.items()}


def sum_receipts(
    connection: Connection, which: ColumnElement[bool] | None = None
) -> dict[Key, int]:
    """Key → the share of the receipts that the vectors here have, of all or of those that `which` picks.

    A receipt is shared evenly by what it delivered, whole receipts to the nano-dollar.
    """
    query: Any = (
        join_requests(
            select(journal.c.cost_nanousd, journal.c.spent_items, *KEY, func.count().label("here"))
        )
        .join(embedding, brought())
        .where(true() if which is None else which)
        .group_by(journal.c.id, journal.c.cost_nanousd, journal.c.spent_items, *KEY)
    )
    paid: dict[Key, int] = defaultdict(int)
    for cost, delivered, revision, modality, purpose, view, here in connection.execute(query):
        if delivered:
            paid[revision, modality, purpose, view] += cost * here // delivered
    return paid


def _measure(file: Path | None) -> int | None:
    if file is None:
        return None
    parts = (file.with_name(file.name + suffix) for suffix in ("", "-wal", "-shm"))
    return sum(part.stat().st_size for part in parts if part.exists())
