"""The charges that hold money at present: few among many, found through their own index."""

from dataclasses import dataclass

from sqlalchemy import ColumnElement, Connection, and_, func, literal_column, select

from vendor_api.db.tables import charge

# A literal: with a bound parameter neither engine would use the index over held charges only.
HELD = charge.c.state == literal_column("'held'")

__all__ = ["HELD", "Holding", "count_holds", "held_by", "list_holds"]


@dataclass(frozen=True, slots=True)
class Holding:
    """Money that one charge holds."""

    reserved_nanousd: int
    held_at: int


def count_holds(connection: Connection) -> int:
    """How many charges hold money now, of every account."""
    query = select(func.count()).select_from(charge).where(HELD)
    return int(connection.execute(query).scalar_one())


def held_by(account_id: str) -> ColumnElement[bool]:
    """Whether a charge is held by the account."""
    # An expression, lest the much longer index over all charges of the account is used.
    return and_(HELD, func.coalesce(charge.c.account_id, "") == account_id)


def list_holds(connection: Connection, account_id: str) -> list[Holding]:
    """What the account's charges hold, and since when."""
    query = select(charge.c.reserved_nanousd, charge.c.held_at).where(held_by(account_id))
    return [Holding(*row) for row in connection.execute(query).all()]
