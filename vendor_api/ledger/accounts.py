"""Accounts: who holds credit."""

from dataclasses import dataclass

from sqlalchemy import Connection, or_, select
from sqlalchemy import insert as plain_insert

from vendor_api.db.tables import account, account_balance
from vendor_api.ledger.commands import LedgerError, UnknownAccount
from vendor_api.ledger.ids import new_id

__all__ = ["Account", "AccountExists", "create_account", "find_account", "list_accounts"]


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
    """A new account with an empty balance. Raises AccountExists."""
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
