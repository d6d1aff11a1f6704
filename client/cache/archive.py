"""The cache's vectors in one safetensors file, to keep or to hand on: vectors, digests, documents.

A file is a safetensors file whose metadata has one entry, `vl2v`: a JSON `Header`. Shelf number n of it
has the tensors `n/digests`, uint8[count, 32] in ascending order, and `n/vectors`, float16[count, d].
The same cache gives the same bytes. There are no keys, paths, runs or receipts in it.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, Connection, and_, func, select, true

from client.cache.database import Database
from client.cache.documents import TeacherDocument
from client.cache.inventory import KEY
from client.cache.store import Purpose
from client.cache.tables import embedding, model_document
from client.errors import ClientError
from shared.digests import DIGEST_BYTES
from shared.wire import Modality

PAGE = 2000
"""Vectors read at a time."""
ENTRY = "vl2v"
NO_HASH = "0" * 64

__all__ = [
    "ENTRY",
    "NO_HASH",
    "ArchiveError",
    "ArchivedShelf",
    "Header",
    "export_archive",
    "find_data",
]


class ArchiveError(ClientError):
    """An archive cannot be written or used; the cache is as it was."""


class ArchivedShelf(BaseModel):
    """Vectors of one kind in an archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    revision: Annotated[str, Field(min_length=1, max_length=64)]
    modality: Modality
    purpose: Purpose
    view: Annotated[str, Field(min_length=1, max_length=32)]
    count: Annotated[int, Field(ge=1)]
    dimension: Annotated[int, Field(ge=1)]


class Header(BaseModel):
    """What an archive says about itself."""

    model_config = ConfigDict(frozen=True)
    format: Literal["vl2v-cache"] = "vl2v-cache"
    version: Literal[1] = 1
    sha256: str
    """Of this document, with zeros in this place, and of every byte of the tensors; hexadecimal."""
    shelves: list[ArchivedShelf]
    models: list[TeacherDocument]
    """Of the shelves' revisions; of one id, the last bought comes last."""


def export_archive(
    database: Database,
    file: Path,
    *,
    revision: str | None = None,
    purpose: Purpose | None = None,
    progress: Callable[[int], None] = lambda written: None,
) -> Header:
    """Write what the cache holds, of one revision or purpose where given; the file appears whole.

    `progress` is told how many vectors were written since it was last told. Raises ArchiveError when
    there is nothing to write, or the file cannot be written.
    """
    where = and_(
        true() if revision is None else embedding.c.revision == revision,
        true() if purpose is None else embedding.c.purpose == purpose,
    )
    with database.read() as connection, _whole(file) as out:
        shelves = _count_shelves(connection, where)
        if not shelves:
            raise ArchiveError("nothing to export: no vector in the cache is of that kind")
        models = _read_models(connection, {shelf.revision for shelf in shelves})
        blank = Header(sha256=NO_HASH, shelves=shelves, models=models)
        out.write(_write_header(blank))
        digest = hashlib.sha256(_dump(blank.model_dump(mode="json")).encode())
        for shelf in shelves:
            for block in _read_blocks(connection, shelf, progress):
                digest.update(block)
                out.write(block)
        header = blank.model_copy(update={"sha256": digest.hexdigest()})
        out.seek(0)
        out.write(_write_header(header))
    return header


def find_data(file: IO[bytes]) -> int:
    """Where a safetensors file's tensors begin, in bytes."""
    return 8 + int.from_bytes(file.read(8), "little")


def _count_shelves(connection: Connection, where: ColumnElement[bool]) -> list[ArchivedShelf]:
    size = func.length(embedding.c.vector)
    query = select(*KEY, func.count(), func.min(size), func.max(size)).where(where)
    shelves = []
    for *key, count, least, most in connection.execute(query.group_by(*KEY).order_by(*KEY)):
        if least != most or least == 0 or least % 2:
            raise ArchiveError(
                f"vectors of revision {key[0]} differ in length: type `vl2v cache verify`"
            )
        named = dict(zip(("revision", "modality", "purpose", "view"), key, strict=True))
        shelves.append(ArchivedShelf(**named, count=count, dimension=least // 2))
    return shelves


def _read_models(connection: Connection, revisions: set[str]) -> list[TeacherDocument]:
    query = select(model_document).order_by(
        model_document.c.model_id, model_document.c.saved_ns, model_document.c.id
    )
    return [
        _without_place(TeacherDocument.model_validate_json(row.document))
        for row in connection.execute(query)
        if row.revision in revisions
    ]


def _without_place(document: TeacherDocument) -> TeacherDocument:
    """What kind of teacher it is, but neither its folder nor its address."""
    return document.model_copy(update={"teacher": document.teacher.partition(":")[0]})


def _write_header(header: Header) -> bytes:
    """Safetensors' own header, padded so that the tensors begin at a multiple of eight."""
    document: dict[str, Any] = {"__metadata__": {ENTRY: _dump(header.model_dump(mode="json"))}}
    start = 0
    for number, shelf in enumerate(header.shelves):
        for name, dtype, columns, width in (
            ("digests", "U8", DIGEST_BYTES, 1),
            ("vectors", "F16", shelf.dimension, 2),
        ):
            end = start + shelf.count * columns * width
            document[f"{number}/{name}"] = {
                "dtype": dtype,
                "shape": [shelf.count, columns],
                "data_offsets": [start, end],
            }
            start = end
    text = _dump(document).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text


def _dump(document: Any) -> str:
    return json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _read_blocks(
    connection: Connection, shelf: ArchivedShelf, progress: Callable[[int], None]
) -> Iterator[bytes]:
    """The digests, then the vectors, both by ascending digest."""
    for column in (embedding.c.digest, embedding.c.vector):
        count = 0
        for rows in _read_pages(connection, shelf, column):
            count += len(rows)
            yield b"".join(row.block for row in rows)
            progress(len(rows) if column is embedding.c.vector else 0)
        if count != shelf.count:
            raise ArchiveError("the cache changed meanwhile: run the same command again")


def _read_pages(
    connection: Connection, shelf: ArchivedShelf, column: Any
) -> Iterator[Sequence[Any]]:
    query = (
        select(embedding.c.digest, column.label("block"))
        .where(*(part == getattr(shelf, part.name) for part in KEY))
        .order_by(embedding.c.digest)
        .limit(PAGE)
    )
    last = b""
    while rows := connection.execute(query.where(embedding.c.digest > last)).all():
        yield rows
        last = rows[-1].digest


@contextmanager
def _whole(file: Path) -> Iterator[IO[bytes]]:
    """A file under another name, renamed when it is whole and on the disk."""
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with unfinished.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        unfinished.replace(file)
    except OSError as error:
        raise ArchiveError(f"{file} cannot be written ({error.strerror}): name another") from error
    finally:
        with suppress(OSError):
            unfinished.unlink()
