"""Accounts: who holds credit."""

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select, update
from sqlalchemy import insert as plain_insert

from vendor_api.db import MAX_CREDITED_NANOUSD, read_clock
from vendor_api.db.tables import account, account_balance
from vendor_api.ledger import balance, credits
from vendor_api.ledger.commands import (
    AccountStatus,
    CreditLimitInUse,
    LedgerError,
    UnknownAccount,
)
from vendor_api.ledger.ids import new_id

__all__ = [
    "Account",
    "AccountExists",
    "create_account",
    "find_account",
    "list_accounts",
    "set_credit_limit",
    "set_status",
]


@dataclass(frozen=True, slots=True)
class Account:
    """One customer."""

    id: str
    name: str
    status: str
    created_at: int
    """Microseconds since 1970 in UTC."""


class AccountExists(LedgerError):
    """The name is taken."""


def create_account(
    connection: Connection, now: int, name: str, *, credit_limit_nanousd: int = 0
) -> Account:
    """A new account with an empty balance. Raises AccountExists, and ValueError for a bad limit."""
    _require_limit(credit_limit_nanousd)
    if connection.execute(select(account.c.id).where(account.c.name == name)).first():
        raise AccountExists(name)
    created = Account(new_id("acct"), name, "active", now)
    connection.execute(
        plain_insert(account).values(id=created.id, name=name, status="active", created_at=now)
    )
    # In the same transaction: locking a missing balance row would lock nothing.
    connection.execute(
        plain_insert(account_balance).values(
            account_id=created.id,
            credited_nanousd=0,
            debited_nanousd=0,
            held_nanousd=0,
            credit_limit_nanousd=credit_limit_nanousd,
        )
    )
    return created


def find_account(connection: Connection, id_or_name: str) -> Account:
    """The account of that id, else of that name. Raises UnknownAccount."""
    query = select(account).where(or_(account.c.id == id_or_name, account.c.name == id_or_name))
    rows = connection.execute(query).all()
    if not rows:
        raise UnknownAccount(id_or_name)
    row = next((row for row in rows if row.id == id_or_name), rows[0])
    return Account(row.id, row.name, row.status, row.created_at)


def list_accounts(connection: Connection) -> list[Account]:
    """Every account, oldest first."""
    rows = connection.execute(select(account).order_by(account.c.id))
    return [Account(row.id, row.name, row.status, row.created_at) for row in rows]


def set_status(connection: Connection, account_id: str, status: AccountStatus) -> None:
    """Let the account buy (active) or not (frozen); what it holds may still be captured.

    Raises UnknownAccount, also for one that is closed, and ValueError for another status.
    """
    if status not in ("active", "frozen"):
        raise ValueError("an account is active or frozen; `close_account` closes it")
    statement = update(account).where(account.c.id == account_id, account.c.status != "closed")
    if connection.execute(statement.values(status=status)).rowcount != 1:
        raise UnknownAccount(account_id)


def set_credit_limit(connection: Connection, account_id: str, credit_limit_nanousd: int) -> None:
    """Let the account spend this much more than it has paid in.

    Raises UnknownAccount, CreditLimitInUse when it has spent or holds more already, and ValueError
    for a limit below zero or beyond what the ledger can hold.
    """
    _require_limit(credit_limit_nanousd)
    balance.lock(connection, [account_id])
    # Credit that is due must not stand in for the limit.
    credits.expire_due(connection, read_clock(connection), account_id)
    row = connection.execute(
        select(account_balance.c.credit_limit_nanousd, balance.AVAILABLE.label("available")).where(
            account_balance.c.account_id == account_id
        )
    ).one_or_none()
    if row is None:
        raise UnknownAccount(account_id)
    least = row.credit_limit_nanousd - row.available
    if credit_limit_nanousd < least:
        raise CreditLimitInUse(credit_limit_nanousd, least)
    connection.execute(
        update(account_balance)
        .where(account_balance.c.account_id == account_id)
        .values(credit_limit_nanousd=credit_limit_nanousd)
    )


def _require_limit(credit_limit_nanousd: int) -> None:
    if not 0 <= credit_limit_nanousd <= MAX_CREDITED_NANOUSD:
        raise ValueError("a credit limit is not negative and less than 4.6 billion dollars")
