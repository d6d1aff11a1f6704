"""The client's tables: one file holds what was bought, what it cost and what is still open."""

import time

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)

SCHEMA_HEAD = "c0004"
"""The newest revision under migrations/client; a test compares the two."""

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

# Times are `*_ns`: nanoseconds since 1970, as file times are.
# SQLite counts rows only in a column typed INTEGER; BigInteger elsewhere.
_Id = BigInteger().with_variant(Integer, "sqlite")

embedding = Table(
    "embedding",
    metadata,
    # An integer key with the digest beside it: as primary key WITHOUT ROWID the same kilobyte
    # blobs take 3.3 times the space and a seventh of the speed.
    Column("id", _Id, primary_key=True),
    Column("revision", String(64), nullable=False),
    Column("modality", String(8), nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("view", String(32), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("vector", LargeBinary, nullable=False),
    # Empty in rows of before it was kept.
    Column("stored_ns", BigInteger, default=time.time_ns),
    UniqueConstraint("revision", "modality", "digest", "view"),
)

model_document = Table(
    "model_document",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("model_id", Text, nullable=False),
    Column("revision", String(64), nullable=False),
    Column("document", Text, nullable=False),
    Column("saved_ns", BigInteger, nullable=False),
    UniqueConstraint("model_id", "revision"),
)

file_digest = Table(
    "file_digest",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("path", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("mtime_ns", BigInteger, nullable=False),
    Column("digest", LargeBinary(32)),
    Column("problem", Text),
    UniqueConstraint("path"),
)

project = Table(
    "project",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("name", Text, nullable=False),
    # An empty cap is none.
    Column("cap_nanousd", BigInteger),
    Column("cap_items", BigInteger),
    Column("held_nanousd", BigInteger, nullable=False),
    Column("held_items", BigInteger, nullable=False),
    Column("spent_nanousd", BigInteger, nullable=False),
    Column("spent_items", BigInteger, nullable=False),
    UniqueConstraint("name"),
    CheckConstraint("held_nanousd >= 0 AND held_items >= 0", name="held_not_negative"),
    CheckConstraint("spent_nanousd >= 0 AND spent_items >= 0", name="spent_not_negative"),
)

budget = Table(
    "budget",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("run", Text, nullable=False),
    Column("project", Text, nullable=False),
    Column("cap_nanousd", BigInteger, nullable=False),
    Column("cap_items", BigInteger),
    Column("held_nanousd", BigInteger, nullable=False),
    Column("held_items", BigInteger, nullable=False),
    Column("spent_nanousd", BigInteger, nullable=False),
    Column("spent_items", BigInteger, nullable=False),
    UniqueConstraint("run"),
    CheckConstraint("held_nanousd >= 0 AND held_items >= 0", name="held_not_negative"),
    CheckConstraint("spent_nanousd >= 0 AND spent_items >= 0", name="spent_not_negative"),
)

journal = Table(
    "journal",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("run", Text, nullable=False),
    Column("idempotency_key", String(255), nullable=False),
    Column("state", String(8), nullable=False),
    Column("model_id", Text, nullable=False),
    Column("revision", String(64), nullable=False),
    Column("modality", String(8), nullable=False),
    Column("purpose", String(16), nullable=False),
    Column("max_cost_nanousd", BigInteger, nullable=False),
    Column("held_nanousd", BigInteger, nullable=False),
    Column("cost_nanousd", BigInteger),
    Column("charge_id", Text),
    Column("request_id", Text),
    Column("problem", Text),
    Column("planned_ns", BigInteger, nullable=False),
    Column("sent_ns", BigInteger),
    Column("closed_ns", BigInteger),
    Column("held_items", BigInteger, nullable=False, server_default="0"),
    # Embedded, once it is settled.
    Column("spent_items", BigInteger),
    # How its items travelled; empty in rows of before there was a choice: in JSON.
    Column("form", String(8)),
    UniqueConstraint("idempotency_key"),
    CheckConstraint(
        "state in ('planned', 'sent', 'unknown', 'settled', 'failed')", name="state_known"
    ),
    CheckConstraint("held_nanousd >= 0", name="held_not_negative"),
    Index(None, "run", "state"),
)

journal_item = Table(
    "journal_item",
    metadata,
    Column("id", _Id, primary_key=True),
    Column("journal_id", _Id, ForeignKey(journal.c.id, ondelete="CASCADE"), nullable=False),
    Column("position", Integer, nullable=False),
    Column("digest", LargeBinary(32), nullable=False),
    Column("error_code", Text),
    Column("error_message", Text),
    # When its vector was taken out of the cache on purpose.
    Column("dropped_ns", BigInteger),
    UniqueConstraint("journal_id", "position"),
    Index(None, "digest"),
)

journal_view = Table(
    "journal_view",
    metadata,
    # A request without a row here asked about the files as they are.
    Column("journal_id", _Id, ForeignKey(journal.c.id, ondelete="CASCADE"), primary_key=True),
    Column("view", String(32), nullable=False),
)

__all__ = [
    "SCHEMA_HEAD",
    "budget",
    "embedding",
    "file_digest",
    "journal",
    "journal_item",
    "journal_view",
    "metadata",
    "model_document",
    "project",
]
