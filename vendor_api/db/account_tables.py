"""Tables of an account's life: the space it is answered in, and its end."""

from sqlalchemy import CheckConstraint, Column, ForeignKey, Table, Text

from vendor_api.db.schema import INT64, metadata

account_space = Table(
    "account_space",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("serial", INT64, nullable=False),
    Column("space_id", Text, nullable=False),
    Column("status", Text, nullable=False),
    Column("changed_at", INT64, nullable=False),
    CheckConstraint("serial >= 1", name="serial"),
    CheckConstraint("status IN ('on', 'off')", name="status"),
    sqlite_strict=True,
)

account_closure = Table(
    "account_closure",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("closed_at", INT64, nullable=False),
    Column("reason", Text, nullable=False),
    Column("refund_ref", Text),
    Column("refunded_nanousd", INT64, nullable=False),
    Column("forfeited_nanousd", INT64, nullable=False),
    Column("erased_at", INT64),
    CheckConstraint("refunded_nanousd >= 0", name="refunded"),
    CheckConstraint("forfeited_nanousd >= 0", name="forfeited"),
    sqlite_strict=True,
)

__all__ = ["account_closure", "account_space"]
