"""Vectors from another cache: checked whole before the first is taken, added where none is yet."""

import hashlib
import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pydantic import ValidationError
from safetensors import SafetensorError, safe_open
from sqlalchemy import Connection, select

from client.cache.archive import ENTRY, NO_HASH, ArchivedShelf, ArchiveError, Header, find_data
from client.cache.database import Database
from client.cache.digests import CHUNK
from client.cache.tables import embedding, model_document
from client.cache.upserts import insert_missing
from client.cache.vectors import STORED
from client.cache.verification import find_dimensions, find_faults
from shared.digests import DIGEST_BYTES

__all__ = ["Imported", "import_archive"]


@dataclass(slots=True)
class Imported:
    """What came of an import."""

    added: int = 0
    present: int = 0
    """Vectors that were here already, and stayed as they are."""
    models: int = 0
    """Documents added."""


def import_archive(
    database: Database,
    file: Path,
    *,
    dry_run: bool = False,
    progress: Callable[[int], None] = lambda done: None,
) -> Imported:
    """Add the vectors and documents of an archive that this cache lacks; nothing is replaced.

    Everything in the archive is checked before anything is added. Killed at any moment, the cache is
    whole, and importing again adds the rest. `progress` is told how many vectors were looked at and,
    again, how many were added or found here, since it was last told. Raises ArchiveError for a file
    that is no archive, is damaged, or has other lengths for a revision than this cache.
    """
    with _opened(file) as (tensors, said):
        header = _read_header(file, said)
        _check_bytes(file, said, header.sha256)
        with database.read() as connection:
            _check_dimensions(header, find_dimensions(connection))
        for number, shelf in enumerate(header.shelves):
            _check_shelf(file, tensors, number, shelf, progress)
        done = Imported()
        for number, shelf in enumerate(header.shelves):
            for digests, vectors in _read_parts(tensors, number, shelf):
                if dry_run:
                    with database.read() as connection:
                        present = len(_find_present(connection, shelf, digests))
                else:
                    present = _add(database, shelf, digests, vectors)
                done.present += present
                done.added += len(digests) - present
                progress(len(digests))
        done.models = _add_models(database, header, dry_run=dry_run)
    return done


@contextmanager
def _opened(file: Path) -> Iterator[tuple[Any, str]]:
    try:
        with safe_open(file, framework="numpy") as tensors:
            said = (tensors.metadata() or {}).get(ENTRY)
            if said is None:
                raise ArchiveError(
                    f"{file} is not an archive of `vl2v cache export`: name another file"
                )
            yield tensors, said
    except SafetensorError as error:
        raise ArchiveError(
            f"{file} is no whole archive ({error}): copy or export it again"
        ) from error
    except OSError as error:
        reason = error.strerror or error
        raise ArchiveError(f"{file} cannot be read ({reason}): name another file") from error


def _read_header(file: Path, said: str) -> Header:
    try:
        if json.loads(said).get("version") != 1:
            raise ArchiveError(f"{file} was written by a newer vl2v: `pip install --upgrade vl2v`")
        return Header.model_validate_json(said)
    except (ValidationError, ValueError, AttributeError) as error:
        raise ArchiveError(f"the header of {file} cannot be read: export it again") from error


def _check_bytes(file: Path, said: str, sha256: str) -> None:
    digest = hashlib.sha256(said.replace(sha256, NO_HASH).encode())
    with file.open("rb") as opened:
        opened.seek(find_data(opened))
        while block := opened.read(2**20):
            digest.update(block)
    if digest.hexdigest() != sha256:
        raise ArchiveError(f"{file} is damaged (its checksum is another): copy or export it again")


def _check_dimensions(header: Header, known: dict[str, int]) -> None:
    documents = {document.revision: document.dimension for document in header.models}
    for shelf in header.shelves:
        for whose, lengths in (("its own document says", documents), ("this cache has", known)):
            if lengths.get(shelf.revision, shelf.dimension) != shelf.dimension:
                raise ArchiveError(
                    f"the archive has vectors of {shelf.dimension} numbers for revision "
                    f"{shelf.revision}, {whose} {lengths[shelf.revision]}: nothing was imported"
                )


def _check_shelf(
    file: Path, tensors: Any, number: int, shelf: ArchivedShelf, progress: Callable[[int], None]
) -> None:
    shapes = {
        "digests": ("U8", [shelf.count, DIGEST_BYTES]),
        "vectors": ("F16", [shelf.count, shelf.dimension]),
    }
    for name, wanted in shapes.items():
        part = tensors.get_slice(f"{number}/{name}")
        if (part.get_dtype(), part.get_shape()) != wanted:
            raise ArchiveError(
                f"{file} is damaged ({number}/{name} is not {wanted}): export it again"
            )
    last = b""
    for digests, vectors in _read_parts(tensors, number, shelf):
        if any(first >= second for first, second in zip([last, *digests], digests, strict=False)):
            raise ArchiveError(f"{file} is damaged (digests out of order): export it again")
        faults = [fault for fault in find_faults(vectors) if fault]
        if faults:
            raise ArchiveError(
                f"{len(faults)} {shelf.modality} vectors of {file} are {faults[0]}: nothing was "
                "imported; type `vl2v cache verify` where it was exported"
            )
        last = digests[-1]
        progress(len(digests))


def _read_parts(
    tensors: Any, number: int, shelf: ArchivedShelf
) -> Iterator[tuple[list[bytes], np.ndarray[Any, Any]]]:
    digests, vectors = (tensors.get_slice(f"{number}/{name}") for name in ("digests", "vectors"))
    for start in range(0, shelf.count, CHUNK):
        end = min(start + CHUNK, shelf.count)
        yield [row.tobytes() for row in digests[start:end]], vectors[start:end].astype(STORED)


def _add(
    database: Database,
    shelf: ArchivedShelf,
    digests: list[bytes],
    vectors: np.ndarray[Any, Any],
) -> int:
    """Add what is missing in one transaction; how many were present."""
    rows = [
        {
            "revision": shelf.revision,
            "modality": shelf.modality,
            "purpose": shelf.purpose,
            "view": shelf.view,
            "digest": digest,
            "vector": vector.tobytes(),
        }
        for digest, vector in zip(digests, vectors, strict=True)
    ]
    with database.write() as connection:
        present = _find_present(connection, shelf, digests)
        insert_missing(connection, embedding, [r for r in rows if r["digest"] not in present])
    return len(present)


def _find_present(connection: Connection, shelf: ArchivedShelf, digests: list[bytes]) -> set[bytes]:
    """Under any purpose: a vector is kept once."""
    query = select(embedding.c.digest).where(
        embedding.c.revision == shelf.revision,
        embedding.c.modality == shelf.modality,
        embedding.c.view == shelf.view,
        embedding.c.digest.in_(digests),
    )
    return set(connection.execute(query).scalars())


def _add_models(database: Database, header: Header, *, dry_run: bool) -> int:
    with database.write() as connection:
        query = select(model_document.c.model_id, model_document.c.revision)
        known = {(row.model_id, row.revision) for row in connection.execute(query)}
        ids = {model_id for model_id, _ in known}
        new = [model for model in header.models if (model.id, model.revision) not in known]
        now = time.time_ns()
        rows = [
            {
                "model_id": model.id,
                "revision": model.revision,
                "document": model.model_dump_json(),
                # An id that is known here goes on meaning what was last bought here.
                "saved_ns": 0 if model.id in ids else now + place,
            }
            for place, model in enumerate(new)
        ]
        if not dry_run:
            insert_missing(connection, model_document, rows)
    return len(new)
