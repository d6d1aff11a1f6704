"""What a method's queries cost: counted in the client's journal, at the price actually paid."""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sqlalchemy import func, select

from client.cache.store import FILE_VIEW, EmbeddingStore
from client.cache.tables import journal, journal_item, journal_view
from client.train.fold import Fold, Rows
from client.train.methods import Method
from client.train.querying import stored_views
from client.train.teacher import Teacher
from shared.digests import digest_text
from shared.wire import Modality

CHUNK = 500
"""Digests a statement: below every database's limit of parameters."""

__all__ = ["Bill", "Spending", "count_spending"]


@dataclass(frozen=True, slots=True)
class Bill:
    """Distinct items asked of the vendor, each view of a picture being one, and what they cost."""

    images: int = 0
    texts: int = 0
    cost_nanousd: int = 0

    def __add__(self, other: "Bill") -> "Bill":
        return Bill(
            self.images + other.images,
            self.texts + other.texts,
            self.cost_nanousd + other.cost_nanousd,
        )


@dataclass(frozen=True, slots=True)
class Spending:
    """One method on one fold: what it learns from, and what testing it asks of the teacher."""

    training: Bill
    evaluation: Bill

    def document(self) -> dict[str, Any]:
        """As results.jsonl carries it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> "Spending":
        """The spending of `document()`."""
        return cls(Bill(**document["training"]), Bill(**document["evaluation"]))


def count_spending(method: Method, folds: Sequence[Fold], teacher: Teacher | None) -> Spending:
    """What was paid for the vectors that `method` reads on these folds of one folder, each once.

    Pictures whose vectors a fold may not read are not counted. The teacher's own row (zero-shot) has
    its texts and pictures under evaluation: nothing learned from them.
    """
    if teacher is None or not (method.reads_images or method.reads_texts):
        return Spending(Bill(), Bill())
    text_digests = {
        digest_text(text)
        for fold in folds
        for texts in teacher.class_prompts(fold).values()
        for text in texts
    }
    texts = _bill(teacher, "text", text_digests)
    if not method.trains:
        asked = _digests(folds, lambda fold: fold.asked)
        return Spending(Bill(), texts + _bill(teacher, "image", asked))
    if not method.reads_images:
        return Spending(texts, Bill())
    if method.reads_captions:
        text_digests.update(digest for fold in folds for digest in teacher.list_captions(fold))
        texts = _bill(teacher, "text", text_digests)
    views = max((stored_views(fold) for fold in folds), key=len)
    learned = _digests(folds, lambda fold: np.intersect1d(fold.training, fold.queried))
    return Spending(texts + _bill(teacher, "image", learned, views), Bill())


def _digests(folds: Sequence[Fold], part: Callable[[Fold], Rows]) -> set[bytes]:
    return {fold.manifest.pictures[int(row)].digest for fold in folds for row in part(fold)}


def _bill(
    teacher: Teacher,
    modality: Modality,
    digests: set[bytes],
    views: tuple[str, ...] = (FILE_VIEW,),
) -> Bill:
    count, cost = _paid(teacher.store, teacher.document.revision, modality, digests, views)
    images, texts = (count, 0) if modality == "image" else (0, count)
    return Bill(images, texts, cost)


def _paid(
    store: EmbeddingStore,
    revision: str,
    modality: Modality,
    digests: set[bytes],
    views: tuple[str, ...],
) -> tuple[int, int]:
    """(distinct items delivered, nano-dollars paid for them) by the journal.

    A batch that was read in part counts for its delivered items' equal shares: the vendor's receipt
    is one amount for each batch, and a batch has one price.
    """
    wanted = sorted(digests)
    read: dict[int, set[tuple[bytes, str]]] = {}
    view = func.coalesce(journal_view.c.view, FILE_VIEW)
    with store.database.read() as connection:
        for start in range(0, len(wanted), CHUNK):
            rows = connection.execute(
                select(journal_item.c.journal_id, journal_item.c.digest, view)
                .select_from(journal_item)
                .join(journal, journal.c.id == journal_item.c.journal_id)
                .outerjoin(journal_view, journal_view.c.journal_id == journal.c.id)
                .where(
                    view.in_(views),
                    journal.c.revision == revision,
                    journal.c.modality == modality,
                    journal.c.state == "settled",
                    journal_item.c.error_code.is_(None),
                    journal_item.c.digest.in_(wanted[start : start + CHUNK]),
                )
            )
            for batch, digest, shown in rows:
                read.setdefault(batch, set()).add((digest, shown))
        costs = connection.execute(
            select(journal.c.id, journal.c.cost_nanousd, func.count())
            .join(journal_item, journal_item.c.journal_id == journal.c.id)
            .where(journal.c.state == "settled", journal_item.c.error_code.is_(None))
            .group_by(journal.c.id, journal.c.cost_nanousd)
        ).all()
    cost = sum(int(c) * len(read[batch]) // count for batch, c, count in costs if batch in read)
    return len(set().union(*read.values())), cost
