"""Credit that expires, caps and limits of keys, refunds, operators' keys and their audit log.

Credits paid in before become grants without an expiry; what was debited is drawn from them later.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    Text,
    text,
)

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

INT64 = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
# Tables of revision 0001 that the new ones refer to.
for _name in ("account", "api_key", "ledger_txn"):
    Table(_name, metadata, Column("id", Text, primary_key=True))

key_cap = Table(
    "key_cap",
    metadata,
    Column("key_id", Text, ForeignKey("api_key.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("cap", INT64, nullable=False),
    PrimaryKeyConstraint("key_id", "kind", "window"),
    CheckConstraint("kind IN ('items', 'spend')", name="kind"),
    CheckConstraint("\"window\" IN ('day', 'month', 'ever')", name="window"),
    CheckConstraint("cap >= 0", name="cap"),
    sqlite_strict=True,
)
cap_window = Table(
    "cap_window",
    metadata,
    Column("key_id", Text, ForeignKey("api_key.id"), nullable=False),
    Column("kind", Text, nullable=False),
    Column("window", Text, nullable=False),
    Column("starts_at", INT64, nullable=False),
    Column("used", INT64, nullable=False),
    Column("held", INT64, nullable=False),
    PrimaryKeyConstraint("key_id", "kind", "window", "starts_at"),
    CheckConstraint("used >= 0", name="used"),
    CheckConstraint("held >= 0", name="held"),
    sqlite_strict=True,
)
operator_key = Table(
    "operator_key",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("secret_hmac", LargeBinary, nullable=False),
    Column("created_at", INT64, nullable=False),
    Column("expires_at", INT64),
    Column("last_used_at", INT64),
    Column("revoked_at", INT64),
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
CREATED = (key_cap, cap_window, operator_key, credit_grant, audit_log)

COLUMNS = {
    "account_balance": (
        "drawn_nanousd {int64} NOT NULL DEFAULT 0 CONSTRAINT ck_account_balance_drawn "
        "CHECK (drawn_nanousd BETWEEN 0 AND debited_nanousd)",
        "drawn_at {int64} NOT NULL DEFAULT 0",
        "next_expiry_at {int64}",
    ),
    "api_key": (
        "expires_at {int64}",
        "last_used_at {int64}",
        "rotated_from TEXT",
        "models TEXT",
        "requests_per_minute {int64}",
        "items_per_minute {int64}",
        "bytes_per_minute {int64}",
        "concurrency {int64}",
    ),
    "charge": (
        "refunded_nanousd {int64} NOT NULL DEFAULT 0 CONSTRAINT ck_charge_refunded "
        "CHECK (refunded_nanousd BETWEEN 0 AND cost_nanousd)",
        "held_at {int64} NOT NULL DEFAULT 0",
        "caps TEXT",
    ),
}

OLD_KINDS = "'credit', 'capture', 'refund', 'adjust'"
KINDS = "'credit', 'promo', 'capture', 'refund', 'adjust', 'expire'"

SQLITE_TXN = """
CREATE TABLE ledger_txn_new (
    id TEXT NOT NULL, kind TEXT NOT NULL, ref TEXT NOT NULL, account_id TEXT NOT NULL, {columns}
    created_at INTEGER NOT NULL,
    CONSTRAINT pk_ledger_txn PRIMARY KEY (id),
    CONSTRAINT ck_ledger_txn_kind CHECK (kind IN ({kinds})),
    CONSTRAINT uq_ledger_txn_kind_ref UNIQUE (kind, ref),
    CONSTRAINT fk_ledger_txn_account_id FOREIGN KEY(account_id) REFERENCES account (id)
    {constraints}
) STRICT
"""
SQLITE_COLUMNS = "charge_id TEXT, reason TEXT,"
SQLITE_CONSTRAINTS = (
    ", CONSTRAINT fk_ledger_txn_charge_id FOREIGN KEY(charge_id) REFERENCES charge (id)"
)
GUARD = """
CREATE TRIGGER {table}_no_{event} BEFORE {event} ON {table}
BEGIN SELECT RAISE(ABORT, '{table} is append-only'); END
"""
POSTGRES_GUARD = """
CREATE TRIGGER audit_log_append_only BEFORE UPDATE OR DELETE OR TRUNCATE ON audit_log
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change()
"""
CHARGE_INDEX = (
    "CREATE INDEX ix_ledger_txn_charge_id ON ledger_txn (charge_id) WHERE charge_id IS NOT NULL"
)
GRANTS = """
INSERT INTO credit_grant (id, account_id, txn_id, amount_nanousd, remaining_nanousd, granted_at)
SELECT 'grt' || substr(t.id, 4), t.account_id, t.id, e.amount_nanousd, e.amount_nanousd, t.created_at
FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id
WHERE e.book = 'customer:' || t.account_id AND e.amount_nanousd > 0
"""
# What 0001 has no kind or column for is kept in the reference, so that going up again finds it.
DOWNGRADED = """
    CASE kind WHEN 'promo' THEN 'credit' WHEN 'expire' THEN 'adjust' ELSE kind END AS kind,
    CASE WHEN kind IN ('promo', 'expire') THEN kind || ':' || ref
    WHEN kind = 'refund' THEN charge_id || ':' || ref ELSE ref END AS ref
"""
_WAS = "EXISTS (SELECT 1 FROM ledger_entry e WHERE e.txn_id = ledger_txn.id AND e.book = '{book}')"
WAS_PROMO = f"kind = 'credit' AND ref LIKE 'promo:%' AND {_WAS.format(book='promo_expense')}"
WAS_EXPIRE = f"kind = 'adjust' AND ref LIKE 'expire:%' AND {_WAS.format(book='breakage')}"
UPGRADED = f"""
    CASE WHEN {WAS_PROMO} THEN 'promo' WHEN {WAS_EXPIRE} THEN 'expire' ELSE kind END AS kind,
    CASE WHEN {WAS_PROMO} THEN substr(ref, 7) WHEN {WAS_EXPIRE} THEN substr(ref, 8)
    WHEN kind = 'refund' THEN substr(ref, 38) ELSE ref END AS ref,
    CASE WHEN kind = 'refund' THEN substr(ref, 1, 36) END AS charge_id
"""
REFUNDED = """
UPDATE charge SET refunded_nanousd = (
    SELECT SUM(e.amount_nanousd) FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id
    WHERE t.charge_id = charge.id AND e.book = 'customer:' || t.account_id
) WHERE id IN (SELECT charge_id FROM ledger_txn WHERE kind = 'refund')
"""


def upgrade() -> None:
    """Add the tables and columns; every credit so far becomes a grant."""
    sqlite = op.get_bind().dialect.name == "sqlite"
    for table, columns in COLUMNS.items():
        for column in columns:
            typed = column.format(int64="INTEGER" if sqlite else "BIGINT")
            op.execute(f"ALTER TABLE {table} ADD COLUMN {typed}")
    op.execute("UPDATE charge SET held_at = created_at")
    if sqlite:
        _rebuild_sqlite(("charge_id", UPGRADED), KINDS, SQLITE_COLUMNS, SQLITE_CONSTRAINTS)
    else:
        op.execute("ALTER TABLE ledger_txn ADD COLUMN charge_id TEXT")
        op.execute("ALTER TABLE ledger_txn ADD COLUMN reason TEXT")
        op.execute("ALTER TABLE ledger_txn DROP CONSTRAINT ck_ledger_txn_kind")
        _rewrite_postgres(UPGRADED, ", charge_id = d.charge_id")
        op.create_foreign_key(
            "fk_ledger_txn_charge_id", "ledger_txn", "charge", ["charge_id"], ["id"]
        )
        _allow_kinds(KINDS)
    op.execute(REFUNDED)
    op.execute(CHARGE_INDEX)
    metadata.create_all(op.get_bind(), tables=list(CREATED))
    op.execute(GRANTS)
    if sqlite:
        for event in ("UPDATE", "DELETE"):
            op.execute(GUARD.format(table="audit_log", event=event))
    else:
        op.execute(POSTGRES_GUARD)


def downgrade() -> None:
    """Drop them; promotions become credits and expiries adjustments, so that every sum stays.

    Going up again makes them what they were; caps, reasons and expiry instants are lost, and what
    is left of every credit counts as never expiring.
    """
    sqlite = op.get_bind().dialect.name == "sqlite"
    metadata.drop_all(op.get_bind(), tables=list(CREATED))
    op.execute("DROP INDEX ix_ledger_txn_charge_id")
    if sqlite:
        _rebuild_sqlite(("", DOWNGRADED), OLD_KINDS, "", "")
    else:
        op.execute("ALTER TABLE ledger_txn DROP CONSTRAINT ck_ledger_txn_kind")
        _rewrite_postgres(DOWNGRADED)
        _allow_kinds(OLD_KINDS)
        op.execute("ALTER TABLE ledger_txn DROP COLUMN charge_id")
        op.execute("ALTER TABLE ledger_txn DROP COLUMN reason")
    for table, columns in COLUMNS.items():
        for column in columns:
            op.execute(f"ALTER TABLE {table} DROP COLUMN {column.split()[0]}")


def _rebuild_sqlite(carried: tuple[str, str], kinds: str, columns: str, constraints: str) -> None:
    """SQLite cannot change a CHECK: copy the rows to a table that has the new one."""
    extra, expressions = carried
    named = "id, account_id, created_at, kind, ref" + (f", {extra}" if extra else "")
    op.execute(SQLITE_TXN.format(kinds=kinds, columns=columns, constraints=constraints))
    op.execute(
        f"INSERT INTO ledger_txn_new ({named}) "  # noqa: S608
        f"SELECT id, account_id, created_at, {expressions} FROM ledger_txn"
    )
    op.execute("DROP TABLE ledger_txn")
    op.execute("ALTER TABLE ledger_txn_new RENAME TO ledger_txn")
    op.execute("CREATE INDEX ix_ledger_txn_account_id ON ledger_txn (account_id)")
    for event in ("UPDATE", "DELETE"):
        op.execute(GUARD.format(table="ledger_txn", event=event))


def _rewrite_postgres(expressions: str, assignment: str = "") -> None:
    op.execute("ALTER TABLE ledger_txn DISABLE TRIGGER ledger_txn_append_only")
    op.execute(
        f"UPDATE ledger_txn t SET kind = d.kind, ref = d.ref{assignment} FROM "  # noqa: S608
        f"(SELECT id, {expressions} FROM ledger_txn) d WHERE d.id = t.id "
        "AND (t.kind, t.ref) IS DISTINCT FROM (d.kind, d.ref)"
    )
    op.execute("ALTER TABLE ledger_txn ENABLE TRIGGER ledger_txn_append_only")


def _allow_kinds(kinds: str) -> None:
    op.execute(
        f"ALTER TABLE ledger_txn ADD CONSTRAINT ck_ledger_txn_kind CHECK (kind IN ({kinds}))"
    )
