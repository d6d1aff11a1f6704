"""What share of a model's known embedding space each account has been sold."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, select

from vendor_api.coverage.sketch import count_bits
from vendor_api.db.tables import account, coverage_sketch

__all__ = ["CoverageRow", "list_coverage"]


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """One account and one revision of a model, since the first vector it was sent."""

    account_id: str
    account: str
    revision: str
    vectors: int
    """Sent, replays and repeats too."""
    touched: int
    """Regions of 4096 that any of them lies in."""
    known: int
    """Regions that the vectors of all accounts lie in."""
    share_per_mille: int
    """Touched of known, rounded down."""
    updated_at: int


def list_coverage(connection: Connection, account_id: str | None = None) -> list[CoverageRow]:
    """Every account's coverage of every revision, the widest first."""
    query = select(coverage_sketch, account.c.name).join(
        account, account.c.id == coverage_sketch.c.account_id
    )
    rows = connection.execute(query).all()
    known = {revision: _count_union(rows, revision) for revision in {row.revision for row in rows}}
    found = [
        _row(row, known[row.revision])
        for row in rows
        if account_id is None or row.account_id == account_id
    ]
    return sorted(found, key=lambda row: (-row.share_per_mille, row.revision, row.account_id))


def _count_union(rows: Sequence[Row[Any]], revision: str) -> int:
    union = 0
    for row in rows:
        if row.revision == revision:
            union |= int.from_bytes(row.buckets)
    return union.bit_count()


def _row(row: Row[Any], known: int) -> CoverageRow:
    touched = count_bits(row.buckets)
    return CoverageRow(
        account_id=row.account_id,
        account=row.name,
        revision=row.revision,
        vectors=row.vectors,
        touched=touched,
        known=known,
        share_per_mille=touched * 1000 // known if known else 0,
        updated_at=row.updated_at,
    )
