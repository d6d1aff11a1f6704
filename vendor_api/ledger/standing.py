"""Whether an account may still be given money: one that is closed stays at zero for ever."""

from sqlalchemy import Connection, select

from vendor_api.db.tables import account
from vendor_api.ledger.commands import AccountClosed

__all__ = ["require_open"]


def require_open(connection: Connection, account_id: str) -> None:
    """Raises AccountClosed. Ask under the lock of the account's balance, which a closing takes too."""
    query = select(account.c.status).where(account.c.id == account_id)
    if connection.execute(query).scalar_one_or_none() == "closed":
        raise AccountClosed(account_id)
