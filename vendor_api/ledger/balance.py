"""The one row that says what an account can still spend; the database's CHECK guards it."""

import json
from collections.abc import Iterable
from typing import NamedTuple

from sqlalchemy import Connection, Row, select, update

from shared.money import format_usd
from shared.wire import BalanceDocument
from vendor_api.db import format_instant
from vendor_api.db.driver import fetch
from vendor_api.db.tables import account_balance as balance
from vendor_api.ledger.commands import InsufficientCredit, UnknownAccount

AVAILABLE = (
    balance.c.credited_nanousd
    + balance.c.credit_limit_nanousd
    - balance.c.debited_nanousd
    - balance.c.held_nanousd
)
_STANDING = f"account_balance.account_id, account_balance.next_expiry_at, {AVAILABLE}"
_LOCK = {
    "sqlite": (
        f"SELECT {_STANDING} FROM json_each(?) w CROSS JOIN account_balance"  # noqa: S608
        " ON account_balance.account_id = w.value ORDER BY account_balance.account_id"
    ),
    "postgresql": (
        f"SELECT {_STANDING} FROM account_balance WHERE account_id = ANY(%b::text[])"  # noqa: S608
        " ORDER BY account_id FOR UPDATE"
    ),
}

__all__ = [
    "AVAILABLE",
    "Standing",
    "credit",
    "debit",
    "describe",
    "hold",
    "lock",
    "read_available",
    "unhold",
]


class Standing(NamedTuple):
    """What an account can spend, and until when that is so by itself."""

    account_id: str
    next_expiry_at: int | None
    available_nanousd: int

    def is_due(self, now: int) -> bool:
        """Whether credit of the account has expired, and nobody has booked that yet."""
        return self.next_expiry_at is not None and self.next_expiry_at <= now


def lock(connection: Connection, account_ids: Iterable[str]) -> list[Standing]:
    """Take the accounts' balances in sorted order, before any other row of theirs; returns them.

    Every writing transaction starts here, so two of them never wait for each other in a circle.
    """
    dialect, wanted = connection.dialect.name, sorted(set(account_ids))
    names = json.dumps(wanted) if dialect == "sqlite" else wanted
    return [Standing(*row) for row in fetch(connection, _LOCK[dialect], (names,))]


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
