"""The vendor's tables. Money is `*_nanousd`, instants are microseconds by the database's clock.

`migrations/vendor` creates them; a test holds the two against each other.
"""

from sqlalchemy import (
    CheckConstraint,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    Text,
    UniqueConstraint,
    text,
)

from vendor_api.db.access_tables import api_key, cap_window, key_cap, operator_key
from vendor_api.db.account_tables import account_closure, account_space
from vendor_api.db.people_tables import invitation, login_failure, person, session
from vendor_api.db.schema import INT64, MAX_CREDITED_NANOUSD, metadata

meta = Table(
    "meta",
    metadata,
    Column("name", Text, primary_key=True),
    Column("value", Text, nullable=False),
    sqlite_strict=True,
)

account = Table(
    "account",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False, unique=True),
    Column("status", Text, nullable=False),
    Column("created_at", INT64, nullable=False),
    CheckConstraint("status IN ('active', 'frozen', 'closed')", name="status"),
    sqlite_strict=True,
)

account_balance = Table(
    "account_balance",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("credited_nanousd", INT64, nullable=False),
    Column("debited_nanousd", INT64, nullable=False),
    Column("held_nanousd", INT64, nullable=False),
    Column("credit_limit_nanousd", INT64, nullable=False),
    Column("drawn_nanousd", INT64, nullable=False, server_default=text("0")),
    Column("drawn_at", INT64, nullable=False, server_default=text("0")),
    Column("next_expiry_at", INT64),
    CheckConstraint("held_nanousd >= 0", name="held"),
    CheckConstraint("debited_nanousd >= 0", name="debited"),
    CheckConstraint("drawn_nanousd BETWEEN 0 AND debited_nanousd", name="drawn"),
    CheckConstraint(f"credited_nanousd BETWEEN 0 AND {MAX_CREDITED_NANOUSD}", name="credited"),
    CheckConstraint(
        f"credit_limit_nanousd BETWEEN 0 AND {MAX_CREDITED_NANOUSD}", name="credit_limit"
    ),
    CheckConstraint(
        "credited_nanousd + credit_limit_nanousd - debited_nanousd - held_nanousd >= 0",
        name="available",
    ),
    sqlite_strict=True,
)

price_version = Table(
    "price_version",
    metadata,
    Column("id", Text, primary_key=True),
    Column("model", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("unit_nanousd", INT64, nullable=False),
    Column("valid_from", INT64, nullable=False),
    CheckConstraint("modality IN ('image', 'text')", name="modality"),
    CheckConstraint("unit_nanousd >= 0", name="unit"),
    Index("ix_price_version_model_modality", "model", "modality", "valid_from"),
    sqlite_strict=True,
)

charge = Table(
    "charge",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("key_id", Text, nullable=False),
    Column("idempotency_key", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("request_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("epoch", INT64, nullable=False),
    Column("image_price_id", Text, ForeignKey("price_version.id")),
    Column("text_price_id", Text, ForeignKey("price_version.id")),
    Column("images", INT64, nullable=False),
    Column("images_free", INT64, nullable=False, server_default=text("0")),
    Column("texts", INT64, nullable=False),
    Column("texts_free", INT64, nullable=False, server_default=text("0")),
    Column("reserved_nanousd", INT64, nullable=False),
    Column("cost_nanousd", INT64, nullable=False, server_default=text("0")),
    Column("refunded_nanousd", INT64, nullable=False, server_default=text("0")),
    Column("created_at", INT64, nullable=False),
    Column("held_at", INT64, nullable=False, server_default=text("0")),
    Column("expires_at", INT64, nullable=False),
    Column("captured_at", INT64),
    Column("caps", Text),
    Column("replays", INT64, nullable=False, server_default=text("0")),
    Column("replays_today", INT64, nullable=False, server_default=text("0")),
    Column("replay_day", INT64),
    CheckConstraint(
        "state IN ('held', 'captured', 'released', 'released_final', 'expired')", name="state"
    ),
    CheckConstraint("cost_nanousd BETWEEN 0 AND reserved_nanousd", name="cost"),
    CheckConstraint("refunded_nanousd BETWEEN 0 AND cost_nanousd", name="refunded"),
    CheckConstraint("(state = 'captured') = (captured_at IS NOT NULL)", name="captured"),
    UniqueConstraint("account_id", "idempotency_key"),
    sqlite_strict=True,
)
Index(
    "ix_charge_overdue",
    charge.c.expires_at,
    sqlite_where=text("state = 'held'"),
    postgresql_where=text("state = 'held'"),
)
# Unique, so that what refers to a charge can say whose it is.
Index("ix_charge_account_id_id", charge.c.account_id, charge.c.id, unique=True)

purchase_lot = Table(
    "purchase_lot",
    metadata,
    Column("account_id", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("number", INT64, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("bought_at", INT64, nullable=False),
    Column("items", INT64, nullable=False),
    Column("digests", LargeBinary, nullable=False),
    PrimaryKeyConstraint("account_id", "revision", "modality", "number"),
    ForeignKeyConstraint(["account_id", "charge_id"], ["charge.account_id", "charge.id"]),
    CheckConstraint("items > 0", name="items"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)

ledger_txn = Table(
    "ledger_txn",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("ref", Text, nullable=False),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False, index=True),
    Column("charge_id", Text, ForeignKey("charge.id")),
    Column("reason", Text),
    Column("created_at", INT64, nullable=False),
    CheckConstraint(
        "kind IN ('credit', 'promo', 'capture', 'refund', 'adjust', 'expire')", name="kind"
    ),
    UniqueConstraint("kind", "ref"),
    sqlite_strict=True,
)

Index(
    "ix_ledger_txn_charge_id",
    ledger_txn.c.charge_id,
    sqlite_where=text("charge_id IS NOT NULL"),
    postgresql_where=text("charge_id IS NOT NULL"),
)

# Captures are almost all of the journal, and never pay for this index.
Index(
    "ix_ledger_txn_not_capture",
    ledger_txn.c.created_at,
    ledger_txn.c.id,
    sqlite_where=text("kind <> 'capture'"),
    postgresql_where=text("kind <> 'capture'"),
)

ledger_entry = Table(
    "ledger_entry",
    metadata,
    Column("txn_id", Text, ForeignKey("ledger_txn.id"), nullable=False),
    Column("line", INT64, nullable=False),
    Column("book", Text, nullable=False),
    Column("amount_nanousd", INT64, nullable=False),
    PrimaryKeyConstraint("txn_id", "line"),
    sqlite_strict=True,
)

low_balance_alert = Table(
    "low_balance_alert",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), primary_key=True),
    Column("threshold_nanousd", INT64, nullable=False),
    CheckConstraint("threshold_nanousd >= 0", name="threshold"),
    sqlite_strict=True,
)

credit_grant = Table(
    "credit_grant",
    metadata,
    Column("id", Text, primary_key=True),
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("txn_id", Text, ForeignKey("ledger_txn.id"), nullable=False, unique=True),
    Column("amount_nanousd", INT64, nullable=False),
    Column("remaining_nanousd", INT64, nullable=False),
    Column("granted_at", INT64, nullable=False),
    Column("expires_at", INT64),
    CheckConstraint("amount_nanousd > 0", name="amount"),
    CheckConstraint("remaining_nanousd BETWEEN 0 AND amount_nanousd", name="remaining"),
    sqlite_strict=True,
)
Index(
    "ix_credit_grant_left",
    credit_grant.c.account_id,
    credit_grant.c.expires_at,
    sqlite_where=text("remaining_nanousd > 0"),
    postgresql_where=text("remaining_nanousd > 0"),
)

audit_log = Table(
    "audit_log",
    metadata,
    Column("id", Text, primary_key=True),
    Column("at", INT64, nullable=False, index=True),
    Column("actor", Text, nullable=False),
    Column("action", Text, nullable=False),
    Column("subject", Text, nullable=False, index=True),
    Column("detail", Text, nullable=False),
    sqlite_strict=True,
)

usage_rollup = Table(
    "usage_rollup",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("hour", INT64, nullable=False),
    Column("key_id", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("items", INT64, nullable=False),
    Column("items_free", INT64, nullable=False),
    Column("items_failed", INT64, nullable=False),
    Column("cost_nanousd", INT64, nullable=False),
    PrimaryKeyConstraint("account_id", "hour", "key_id", "model", "modality"),
    # Written once for each row: the counts that a capture adds to are no part of it.
    Index("ix_usage_rollup_hour", "hour"),
    sqlite_strict=True,
)

coverage_sketch = Table(
    "coverage_sketch",
    metadata,
    Column("account_id", Text, ForeignKey("account.id"), nullable=False),
    Column("revision", Text, nullable=False),
    Column("buckets", LargeBinary, nullable=False),
    Column("vectors", INT64, nullable=False),
    Column("updated_at", INT64, nullable=False),
    PrimaryKeyConstraint("account_id", "revision"),
    sqlite_strict=True,
)

__all__ = [
    "MAX_CREDITED_NANOUSD",
    "account",
    "account_balance",
    "account_closure",
    "account_space",
    "api_key",
    "audit_log",
    "cap_window",
    "charge",
    "coverage_sketch",
    "credit_grant",
    "invitation",
    "key_cap",
    "ledger_entry",
    "ledger_txn",
    "login_failure",
    "low_balance_alert",
    "meta",
    "metadata",
    "operator_key",
    "person",
    "price_version",
    "purchase_lot",
    "session",
    "usage_rollup",
]
