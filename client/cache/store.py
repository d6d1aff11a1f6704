"""Bought vectors by content: what is here is never bought again."""

import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

import numpy as np
from sqlalchemy import func, select, update

from client.cache.database import BUSY_SECONDS, Database, open_database
from client.cache.digests import FileDigests
from client.cache.documents import TeacherDocument
from client.cache.spaces import require_one_space
from client.cache.tables import embedding, model_document
from client.cache.upserts import insert_missing
from client.cache.vectors import (
    STORED,
    Purpose,
    cut,
    keep_vectors,
    open_to_training,
    rows_for,
)
from client.errors import ClientError
from shared.codecs import Vector
from shared.wire import Modality, ModelDocument

FILE_VIEW = "file"
"""The input exactly as it is; the view names any other way of showing it to the teacher."""

__all__ = ["FILE_VIEW", "EmbeddingStore", "ModelNotCached", "Purpose"]


class ModelNotCached(ClientError):
    """Nothing of this model was bought yet."""


class EmbeddingStore:
    """Vectors and model documents in one database; safe to use from several threads."""

    def __init__(self, database: Database) -> None:
        self.database = database

    @classmethod
    def open(cls, url_or_path: str | Path, *, busy_seconds: float = BUSY_SECONDS) -> Self:
        """The store at a path or SQLAlchemy URL, created and migrated. Raises CacheError."""
        return cls(open_database(url_or_path, busy_seconds=busy_seconds))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of every connection."""
        self.database.close()

    @property
    def digests(self) -> FileDigests:
        """The memo of file digests that `scan_folders` takes."""
        return FileDigests(self.database)

    def get_many(
        self,
        revision: str,
        modality: Modality,
        digests: Sequence[bytes],
        *,
        purpose: Purpose = "training",
        view: str = FILE_VIEW,
    ) -> dict[bytes, Vector]:
        """Digest → float32[d], unit length to float16's precision, of those that are here.

        With purpose `training` only what was bought for training; with `evaluation` everything.
        """
        where = rows_for(revision, modality, purpose, view)
        found: dict[bytes, Vector] = {}
        with self.database.read() as connection:
            for part in cut(digests):
                rows = connection.execute(
                    select(embedding.c.digest, embedding.c.vector).where(
                        where, embedding.c.digest.in_(part)
                    )
                )
                for digest, blob in rows:
                    found[digest] = np.frombuffer(blob, dtype=STORED).astype(np.float32)
        return found

    def held(
        self,
        revision: str,
        modality: Modality,
        digests: Sequence[bytes],
        *,
        purpose: Purpose = "evaluation",
        view: str = FILE_VIEW,
    ) -> set[bytes]:
        """Which digests `get_many` would answer, without reading their vectors."""
        where = rows_for(revision, modality, purpose, view)
        found: set[bytes] = set()
        with self.database.read() as connection:
            for part in cut(digests):
                found.update(
                    connection.execute(
                        select(embedding.c.digest).where(where, embedding.c.digest.in_(part))
                    ).scalars()
                )
        return found

    def put_many(
        self,
        revision: str,
        modality: Modality,
        vectors: Mapping[bytes, Vector],
        *,
        purpose: Purpose = "training",
        view: str = FILE_VIEW,
    ) -> None:
        """Keep float32[d] unit vectors as float16; those already here stay as they are."""
        with self.database.write() as connection:
            keep_vectors(connection, revision, modality, vectors, purpose, view)

    def promote(
        self,
        revision: str,
        modality: Modality,
        digests: Iterable[bytes],
        *,
        view: str = FILE_VIEW,
    ) -> int:
        """Let training read these although they were bought for evaluation; how many changed.

        A picture of today's target domain may belong to tomorrow's sources: it is not bought again.
        """
        with self.database.write() as connection:
            return open_to_training(connection, revision, modality, digests, view)

    def count(
        self,
        *,
        revision: str | None = None,
        modality: Modality | None = None,
        purpose: Purpose | None = None,
    ) -> int:
        """How many vectors are here, of one revision, modality or purpose where given."""
        given = {"revision": revision, "modality": modality, "purpose": purpose}
        query = select(func.count()).select_from(embedding)
        for name, value in given.items():
            if value is not None:
                query = query.where(embedding.c[name] == value)
        with self.database.read() as connection:
            return connection.execute(query).scalar_one()

    def put_model(self, document: ModelDocument) -> None:
        """Keep what the vendor publishes about a model, as the newest of its id."""
        key: dict[str, Any] = {"model_id": document.id, "revision": document.revision}
        fresh: dict[str, Any] = {
            "document": document.model_dump_json(),
            "saved_ns": time.time_ns(),
        }
        with self.database.write() as connection:
            insert_missing(connection, model_document, [key | fresh])
            connection.execute(
                update(model_document)
                .where(*(model_document.c[name] == value for name, value in key.items()))
                .values(fresh)
            )

    def list_models(self, model_id: str | None = None) -> list[TeacherDocument]:
        """Every model's document, or each revision's of one `id`, the last one bought from first."""
        query = select(model_document.c.document)
        if model_id is not None:
            query = query.where(model_document.c.model_id == model_id)
        newest = query.order_by(model_document.c.saved_ns.desc(), model_document.c.id.desc())
        with self.database.read() as connection:
            documents = connection.execute(newest).scalars().all()
        return [TeacherDocument.model_validate_json(document) for document in documents]

    def model(self, model_id: str) -> TeacherDocument:
        """The document under which `id`, or `id@revision`, was last bought.

        Raises ModelNotCached when nothing of it was, and SpacesMixed when the id alone does not say
        which of two spaces is meant.
        """
        name, _, revision = model_id.partition("@")
        found = [one for one in self.list_models(name) if revision in ("", one.revision)]
        if not found:
            raise ModelNotCached(
                f"no vectors of model {model_id!r} were bought yet: "
                f"type `vl2v fetch DATA --model {model_id} --budget 2.50`"
            )
        if not revision:
            require_one_space(self.database, found[0])
        return found[0]
