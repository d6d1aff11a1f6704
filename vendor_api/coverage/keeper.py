"""Remembers which regions were sold to whom: in memory, and now and then in the database."""

import asyncio
import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from sqlalchemy import Connection, select, update
from sqlalchemy.exc import SQLAlchemyError

from shared.codecs import Vector
from vendor_api.coverage.sketch import BYTES, Bits, find_buckets, mark_buckets
from vendor_api.db import Database, read_clock
from vendor_api.db.tables import coverage_sketch
from vendor_api.db.upsert import insert

FLUSH_SECONDS = 60.0

_log = logging.getLogger(__name__)

__all__ = ["FLUSH_SECONDS", "Coverage"]


@dataclass(slots=True)
class _Sketch:
    bits: Bits = field(default_factory=lambda: np.zeros(BYTES, np.uint8))
    vectors: int = 0


class Coverage:
    """What this process has sold since it last wrote down.

    A process that is killed forgets a minute of it at most: signs are not money.
    """

    def __init__(self) -> None:
        self._fresh: dict[tuple[str, str], _Sketch] = {}

    def observe(self, account_id: str, revision: str, vectors: Sequence[Vector]) -> None:
        """Count vectors that an account was sent; some microseconds each, nothing is kept of them."""
        if vectors:
            sketch = self._fresh.setdefault((account_id, revision), _Sketch())
            mark_buckets(sketch.bits, find_buckets(vectors))
            sketch.vectors += len(vectors)

    async def flush(self, database: Database) -> None:
        """Write down what is new; a database that does not answer is told the next time."""
        fresh, self._fresh = self._fresh, {}
        if not fresh:
            return
        try:
            await asyncio.to_thread(database.change, lambda c: _write(c, fresh))
        except SQLAlchemyError as error:
            _log.warning("the coverage was not written: %r", error)
            self._put_back(fresh)

    async def keep(self, database: Database) -> None:
        """Flush every minute, until cancelled."""
        while True:
            await asyncio.sleep(FLUSH_SECONDS)
            await asyncio.shield(self.flush(database))

    def _put_back(self, unwritten: dict[tuple[str, str], _Sketch]) -> None:
        for key, sketch in unwritten.items():
            present = self._fresh.setdefault(key, _Sketch())
            present.bits |= sketch.bits
            present.vectors += sketch.vectors


def _write(connection: Connection, fresh: dict[tuple[str, str], _Sketch]) -> None:
    now = read_clock(connection)
    for (account_id, revision), sketch in sorted(fresh.items(), key=lambda item: item[0]):
        key = {"account_id": account_id, "revision": revision}
        row = {**key, "buckets": bytes(BYTES), "vectors": 0, "updated_at": now}
        # Two processes may meet here: the row must be there to be locked.
        connection.execute(
            insert(connection, coverage_sketch).values(**row).on_conflict_do_nothing()
        )
        mine = [coverage_sketch.c[name] == value for name, value in key.items()]
        query = select(coverage_sketch.c.buckets, coverage_sketch.c.vectors).where(*mine)
        known = connection.execute(query.with_for_update()).one()
        merged = np.frombuffer(known.buckets, np.uint8) | sketch.bits
        connection.execute(
            update(coverage_sketch)
            .where(*mine)
            .values(
                buckets=merged.tobytes(), vectors=known.vectors + sketch.vectors, updated_at=now
            )
        )
