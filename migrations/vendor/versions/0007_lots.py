"""What a charge paid for is one row for each modality, not one for each item.

Rows of single items fell on pages at random: writing them took most of a large capture's time. A
lot has its items' digests one behind the other, and goes where the account's last one went.
"""

from collections.abc import Iterable, Iterator
from itertools import groupby
from typing import Any

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Row,
    Table,
    Text,
    insert,
    select,
)
from sqlalchemy.dialects import postgresql, sqlite

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None

INT64 = BigInteger().with_variant(Integer, "sqlite")
ROWS = 1000
"""Written or read at once."""

metadata = MetaData(
    naming_convention={
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)
Table("account", metadata, Column("id", Text, primary_key=True))
charge = Table("charge", metadata, Column("id", Text, primary_key=True), Column("account_id", Text))

lot = Table(
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
# As 0006 leaves it.
purchase = Table(
    "purchase",
    metadata,
    Column("account_id", Text, nullable=False),
    Column("revision", Text, nullable=False),
    Column("modality", Text, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("charge_id", Text, nullable=False),
    Column("bought_at", INT64, nullable=False),
    PrimaryKeyConstraint("account_id", "revision", "modality", "digest"),
    ForeignKeyConstraint(["account_id"], ["account.id"]).ddl_if(dialect="sqlite"),
    ForeignKeyConstraint(["charge_id"], ["charge.id"]).ddl_if(dialect="sqlite"),
    sqlite_strict=True,
    sqlite_with_rowid=False,
)
REQUIRE_CHARGES = """
CREATE FUNCTION require_charges() RETURNS trigger LANGUAGE plpgsql AS $$
DECLARE stray record;
BEGIN
    SELECT p.account_id, p.charge_id INTO stray
    FROM (SELECT DISTINCT account_id, charge_id FROM fresh) p
    LEFT JOIN LATERAL (SELECT c.account_id FROM charge c WHERE c.id = p.charge_id LIMIT 1) c ON true
    WHERE c.account_id IS DISTINCT FROM p.account_id LIMIT 1;
    IF FOUND THEN
        RAISE EXCEPTION 'a purchase of % names %, which is no charge of that account',
            stray.account_id, stray.charge_id USING ERRCODE = 'foreign_key_violation';
    END IF;
    RETURN NULL;
END $$
"""
REQUIRE_CHARGES_ON = """
CREATE TRIGGER purchase_charges_on_{event} AFTER {event} ON purchase
REFERENCING NEW TABLE AS fresh FOR EACH STATEMENT EXECUTE FUNCTION require_charges()
"""
INDEX = Index("ix_charge_account_id_id", charge.c.account_id, charge.c.id)
UNIQUE_INDEX = Index("ix_charge_account_id_id", charge.c.account_id, charge.c.id, unique=True)
ORDER = ("account_id", "revision", "modality", "bought_at", "charge_id")


def upgrade() -> None:
    """Gather the items of each charge in a lot, oldest first."""
    connection = op.get_bind()
    INDEX.drop(connection)
    UNIQUE_INDEX.create(connection)
    lot.create(connection)
    query = select(purchase).order_by(*(purchase.c[name] for name in ORDER), purchase.c.digest)
    items = connection.execute(query, execution_options={"yield_per": ROWS})
    _write(insert(lot), _gather(items))
    purchase.drop(connection)
    if connection.dialect.name == "postgresql":
        op.execute("DROP FUNCTION require_charges()")


def downgrade() -> None:
    """A row for each item again: of one that was bought several times, the last purchase stays."""
    connection = op.get_bind()
    purchase.create(connection)
    lots = connection.execute(
        select(lot).order_by(*lot.primary_key.columns), execution_options={"yield_per": ROWS}
    )
    dialect = sqlite if connection.dialect.name == "sqlite" else postgresql
    written = dialect.insert(purchase)
    names = ("charge_id", "bought_at")
    renewed = written.on_conflict_do_update(
        index_elements=list(purchase.primary_key.columns),
        set_={name: written.excluded[name] for name in names},
    )
    _write(renewed, _spread(lots))
    lot.drop(connection)
    UNIQUE_INDEX.drop(connection)
    INDEX.create(connection)
    if connection.dialect.name == "postgresql":
        op.execute(REQUIRE_CHARGES)
        for event in ("insert", "update"):
            op.execute(REQUIRE_CHARGES_ON.format(event=event))


def _gather(items: Iterable[Row[Any]]) -> Iterator[dict[str, Any]]:
    for shelf, on_shelf in groupby(items, lambda row: tuple(row[:3])):
        number = 0
        for (bought_at, charge_id), bought in groupby(
            on_shelf, lambda row: (row.bought_at, row.charge_id)
        ):
            digests = sorted((bytes(row.digest) for row in bought), key=len)
            for _, alike in groupby(digests, len):
                number, together = number + 1, list(alike)
                yield {
                    **dict(zip(ORDER[:3], shelf, strict=True)),
                    "number": number,
                    "charge_id": charge_id,
                    "bought_at": bought_at,
                    "items": len(together),
                    "digests": b"".join(together),
                }


def _spread(lots: Iterable[Row[Any]]) -> Iterator[dict[str, Any]]:
    for row in lots:
        digests = bytes(row.digests)
        width = len(digests) // row.items
        for start in range(0, len(digests), width):
            yield {
                **{name: getattr(row, name) for name in ORDER},
                "digest": digests[start : start + width],
            }


def _write(statement: Any, rows: Iterable[dict[str, Any]]) -> None:
    waiting: list[dict[str, Any]] = []
    for row in rows:
        waiting.append(row)
        if len(waiting) == ROWS:
            op.get_bind().execute(statement, waiting)
            waiting = []
    if waiting:
        op.get_bind().execute(statement, waiting)
