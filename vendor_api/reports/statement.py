"""The vendor's money over a span: what customers had, what moved it, what they have now."""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Select, case, func, select

from vendor_api.db.tables import account_balance
from vendor_api.reports.movements import Movements, read_movements
from vendor_api.reports.ranges import Range

__all__ = ["Statement", "read_statement"]


@dataclass(frozen=True, slots=True)
class Statement:
    """`opening` + sold + given + refunded + adjusted − captured − expired = `closing`, exactly.

    `liability` is what customers have with the vendor at `as_of`: the sum of all balances, which is
    the sum of the customers' books in the journal. It is `closing` when the span has no end.
    """

    as_of: int
    since: int | None
    until: int | None
    account_id: str | None
    opening_nanousd: int
    movements: Movements
    closing_nanousd: int
    liability_nanousd: int
    owed_to_customers_nanousd: int
    owed_by_customers_nanousd: int
    """What accounts with a credit limit have spent beyond what they paid."""
    held_nanousd: int
    """Set aside for requests under way; part of the balances until captured."""


def read_statement(
    connection: Connection, now: int, span: Range, account_id: str | None = None
) -> Statement:
    """The statement over the whole hours of `span`, of one account or all."""
    hours = span.in_hours()
    liability, lent, held = _read_balances(connection, account_id)
    movements = read_movements(connection, hours, account_id)
    closing = liability
    if hours.until is not None and hours.until <= now:
        later = read_movements(connection, Range(hours.until, None), account_id)
        closing -= later.change_nanousd
    return Statement(
        as_of=now,
        since=hours.since,
        until=hours.until,
        account_id=account_id,
        opening_nanousd=closing - movements.change_nanousd,
        movements=movements,
        closing_nanousd=closing,
        liability_nanousd=liability,
        owed_to_customers_nanousd=liability + lent,
        owed_by_customers_nanousd=lent,
        held_nanousd=held,
    )


def _read_balances(connection: Connection, account_id: str | None) -> tuple[int, int, int]:
    has = account_balance.c.credited_nanousd - account_balance.c.debited_nanousd
    lent = case((has < 0, -has), else_=0)
    query: Select[Any] = select(
        func.sum(has), func.sum(lent), func.sum(account_balance.c.held_nanousd)
    )
    if account_id is not None:
        query = query.where(account_balance.c.account_id == account_id)
    liability, owed, held = connection.execute(query).one()
    return int(liability or 0), int(owed or 0), int(held or 0)
