"""The one row that says what an account can still spend; the database's CHECK guards it."""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import Connection, Row, Select, bindparam, select, update

from shared.money import format_usd
from shared.wire import BalanceDocument
from vendor_api.db import format_instant
from vendor_api.db.tables import account_balance as balance
from vendor_api.ledger.commands import InsufficientCredit, UnknownAccount

AVAILABLE = (
    balance.c.credited_nanousd
    + balance.c.credit_limit_nanousd
    - balance.c.debited_nanousd
    - balance.c.held_nanousd
)
_LOCK: Select[Any] = (
    select(balance.c.account_id, balance.c.next_expiry_at, AVAILABLE.label("available_nanousd"))
    .where(balance.c.account_id.in_(bindparam("account_ids", expanding=True)))
    .order_by(balance.c.account_id)
    .with_for_update()
)

__all__ = ["AVAILABLE", "credit", "debit", "describe", "hold", "lock", "read_available", "unhold"]


def lock(connection: Connection, account_ids: Iterable[str]) -> Sequence[Row[Any]]:
    """Take the accounts' balances in sorted order, before any other row of theirs; returns them.

    Every writing transaction starts here, so two of them never wait for each other in a circle.
    """
    return connection.execute(_LOCK, {"account_ids": sorted(set(account_ids))}).all()


def hold(connection: Connection, account_id: str, amount_nanousd: int) -> int:
    """Set money aside; returns what is still available. Raises InsufficientCredit."""
    statement = (
        update(balance)
        .where(balance.c.account_id == account_id, amount_nanousd <= AVAILABLE)
        .values(held_nanousd=balance.c.held_nanousd + amount_nanousd)
        .returning(AVAILABLE)
    )
    available = connection.execute(statement).scalar_one_or_none()
    if available is None:
        raise InsufficientCredit(amount_nanousd, read_available(connection, account_id))
    return int(available)


def unhold(connection: Connection, account_id: str, amount_nanousd: int) -> None:
    """Give held money back."""
    statement = update(balance).where(balance.c.account_id == account_id)
    connection.execute(statement.values(held_nanousd=balance.c.held_nanousd - amount_nanousd))


def debit(connection: Connection, account_id: str, *, held_nanousd: int, cost_nanousd: int) -> int:
    """Turn a hold into a cost, the rest going back; returns what is still available."""
    statement = (
        update(balance)
        .where(balance.c.account_id == account_id)
        .values(
            held_nanousd=balance.c.held_nanousd - held_nanousd,
            debited_nanousd=balance.c.debited_nanousd + cost_nanousd,
        )
        .returning(AVAILABLE)
    )
    return int(connection.execute(statement).scalar_one())


def credit(connection: Connection, account_id: str, amount_nanousd: int) -> None:
    """Add paid-in money."""
    statement = update(balance).where(balance.c.account_id == account_id)
    raised = balance.c.credited_nanousd + amount_nanousd
    connection.execute(statement.values(credited_nanousd=raised))


def read_available(connection: Connection, account_id: str) -> int:
    """What the account can still spend. Raises UnknownAccount."""
    available = connection.execute(
        select(AVAILABLE).where(balance.c.account_id == account_id)
    ).scalar_one_or_none()
    if available is None:
        raise UnknownAccount(account_id)
    return int(available)


def describe(connection: Connection, account_id: str, now: int) -> BalanceDocument:
    """The account's balance as the wire carries it. Raises UnknownAccount."""
    row = connection.execute(
        select(balance, AVAILABLE.label("available_nanousd")).where(
            balance.c.account_id == account_id
        )
    ).one_or_none()
    if row is None:
        raise UnknownAccount(account_id)
    return _document(row, now)


def _document(row: Row[tuple[object, ...]], now: int) -> BalanceDocument:
    return BalanceDocument(
        account_id=row.account_id,
        credited_usd=format_usd(row.credited_nanousd),
        debited_usd=format_usd(row.debited_nanousd),
        held_usd=format_usd(row.held_nanousd),
        credit_limit_usd=format_usd(row.credit_limit_nanousd),
        available_usd=format_usd(row.available_nanousd),
        as_of=format_instant(now),
    )
