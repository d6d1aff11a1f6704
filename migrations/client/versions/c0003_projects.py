"""Projects over runs, caps in items, when a vector was stored, which were dropped on purpose.

New columns of large tables are added without rewriting a row; budgets are few and are written anew.
"""

from alembic import op
from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    Connection,
    Integer,
    MetaData,
    Table,
    Text,
    UniqueConstraint,
    text,
)

revision = "c0003"
down_revision = "c0002"
branch_labels = None
depends_on = None

NAMES = {
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "pk": "pk_%(table_name)s",
}
_Id = BigInteger().with_variant(Integer, "sqlite")

metadata = MetaData(naming_convention=NAMES)

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

old_metadata = MetaData(naming_convention=NAMES)

old_budget = Table(
    "budget",
    old_metadata,
    Column("id", _Id, primary_key=True),
    Column("run", Text, nullable=False),
    Column("cap_nanousd", BigInteger, nullable=False),
    Column("held_nanousd", BigInteger, nullable=False),
    Column("spent_nanousd", BigInteger, nullable=False),
    UniqueConstraint("run"),
    CheckConstraint("held_nanousd >= 0", name="held_not_negative"),
    CheckConstraint("spent_nanousd >= 0", name="spent_not_negative"),
)

DELIVERED = (
    "SELECT COUNT(*) FROM journal_item"
    " WHERE journal_item.journal_id = journal.id AND journal_item.error_code IS NULL"
)
ITEMS = (
    f"UPDATE journal SET spent_items = ({DELIVERED}) WHERE cost_nanousd IS NOT NULL",  # noqa: S608
    # A request that was paid for before and asks again holds nothing.
    f"UPDATE journal SET held_items = ({DELIVERED})"  # noqa: S608
    " WHERE state IN ('planned', 'sent', 'unknown') AND cost_nanousd IS NULL",
)


def upgrade() -> None:
    """Add them; every run belongs to the project `default`, which has no cap."""
    connection = op.get_bind()
    op.add_column("embedding", Column("stored_ns", BigInteger))
    op.add_column("journal", Column("held_items", BigInteger, nullable=False, server_default="0"))
    op.add_column("journal", Column("spent_items", BigInteger))
    op.add_column("journal_item", Column("dropped_ns", BigInteger))
    for statement in ITEMS:
        connection.execute(text(statement))
    _rewrite_budgets(connection)


def _rewrite_budgets(connection: Connection) -> None:
    rows = [
        dict(row)
        for row in connection.execute(old_budget.select().order_by(old_budget.c.id)).mappings()
    ]
    counted = {
        row.run: (int(row.held), int(row.spent))
        for row in connection.execute(
            text(
                "SELECT run, SUM(held_items) AS held, SUM(COALESCE(spent_items, 0)) AS spent"
                " FROM journal GROUP BY run"
            )
        )
    }
    old_budget.drop(connection)
    metadata.create_all(connection)
    for row in rows:
        del row["id"]
        row["project"] = "default"
        row["held_items"], row["spent_items"] = counted.get(row["run"], (0, 0))
    if rows:
        connection.execute(budget.insert(), rows)
    sums = {
        name: sum(row[name] for row in rows)
        for name in ("held_nanousd", "held_items", "spent_nanousd", "spent_items")
    }
    connection.execute(project.insert().values(name="default", **sums))


def downgrade() -> None:
    """Back to runs with money alone; caps in items, projects and what was dropped are forgotten."""
    connection = op.get_bind()
    names = [column.name for column in old_budget.columns if column.name != "id"]
    query = budget.select().order_by(budget.c.id)
    rows = [{name: row[name] for name in names} for row in connection.execute(query).mappings()]
    metadata.drop_all(connection)
    old_budget.create(connection)
    if rows:
        connection.execute(old_budget.insert(), rows)
    op.drop_column("journal_item", "dropped_ns")
    op.drop_column("journal", "spent_items")
    op.drop_column("journal", "held_items")
    op.drop_column("embedding", "stored_ns")
