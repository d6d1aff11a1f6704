"""Vectors written inside the caller's transaction, so that they are kept with what they cost."""

import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from typing import Any, Literal

import numpy as np
from sqlalchemy import ColumnElement, Connection, and_, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import Insert

from client.cache.digests import CHUNK
from client.cache.statements import Statement, given
from client.cache.tables import embedding
from shared.codecs import Vector
from shared.wire import Modality

Purpose = Literal["training", "evaluation"]
"""What a vector was bought for. Training never reads what was bought to evaluate the teacher."""
STORED = np.dtype("<f2")

__all__ = ["STORED", "Purpose", "cut", "keep_vectors", "open_to_training", "rows_for"]


def _make_insert(dialect: str) -> Insert:
    insert: Any = sqlite.insert if dialect == "sqlite" else postgresql.insert
    columns = {column.name: given(column.name) for column in embedding.c if column.name != "id"}
    made: Insert = insert(embedding).values(columns).on_conflict_do_nothing().inline()
    return made


_INSERT = Statement(_make_insert)


def keep_vectors(
    connection: Connection,
    revision: str,
    modality: Modality,
    vectors: Mapping[bytes, Vector],
    purpose: Purpose,
    view: str,
) -> None:
    """Keep float32[d] unit vectors as float16; those already here stay as they are."""
    if not vectors:
        return
    common = {
        "revision": revision,
        "modality": modality,
        "view": view,
        "purpose": purpose,
        "stored_ns": time.time_ns(),
    }
    rows = [
        {**common, "digest": digest, "vector": vector.astype(STORED).tobytes()}
        for digest, vector in vectors.items()
    ]
    all_new = _INSERT.run_many(connection, rows) == len(rows)
    if purpose == "training" and not all_new:
        open_to_training(connection, revision, modality, list(vectors), view)


def open_to_training(
    connection: Connection, revision: str, modality: Modality, digests: Iterable[bytes], view: str
) -> int:
    """Let training read these although they were bought for evaluation; how many changed."""
    changed = 0
    for part in cut(digests):
        changed += connection.execute(
            update(embedding)
            .where(
                rows_for(revision, modality, "evaluation", view),
                embedding.c.purpose == "evaluation",
                embedding.c.digest.in_(part),
            )
            .values(purpose="training")
        ).rowcount
    return changed


def rows_for(revision: str, modality: Modality, purpose: Purpose, view: str) -> ColumnElement[bool]:
    """The rows that a purpose may read."""
    rows = and_(
        embedding.c.revision == revision,
        embedding.c.modality == modality,
        embedding.c.view == view,
    )
    return and_(rows, embedding.c.purpose == purpose) if purpose == "training" else rows


def cut(digests: Iterable[bytes]) -> Iterator[Sequence[bytes]]:
    """Parts of as many as one statement takes."""
    rest = iter(digests)
    while part := list(islice(rest, CHUNK)):
        yield part
