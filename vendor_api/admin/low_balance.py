"""Warnings before an account runs dry: a threshold for each account that somebody watches."""

from sqlalchemy import Connection, delete, select

from shared.money import MAX_NANOUSD, format_usd
from vendor_api.admin.log import record_action
from vendor_api.db.tables import low_balance_alert
from vendor_api.db.upsert import insert
from vendor_api.ledger.accounts import find_account

__all__ = ["change_threshold", "read_threshold"]


def change_threshold(
    connection: Connection, now: int, actor: str, account_id: str, threshold_nanousd: int | None
) -> None:
    """Warn while the account has less than this available; None: never.

    Raises UnknownAccount, and ValueError for a threshold below zero.
    """
    found = find_account(connection, account_id)
    if threshold_nanousd is None:
        gone = low_balance_alert.c.account_id == found.id
        connection.execute(delete(low_balance_alert).where(gone))
    else:
        if not 0 <= threshold_nanousd <= MAX_NANOUSD:
            raise ValueError("a threshold is zero dollars or more")
        chosen = {"threshold_nanousd": threshold_nanousd}
        statement = insert(connection, low_balance_alert).values(account_id=found.id, **chosen)
        connection.execute(
            statement.on_conflict_do_update(index_elements=["account_id"], set_=chosen)
        )
    shown = None if threshold_nanousd is None else format_usd(threshold_nanousd)
    record_action(
        connection,
        now,
        actor=actor,
        action="account.low_balance",
        subject=found.id,
        detail={"threshold_usd": shown},
    )


def read_threshold(connection: Connection, account_id: str) -> int | None:
    """Below how much somebody wants to be warned; None: nobody does."""
    query = select(low_balance_alert.c.threshold_nanousd)
    of_account = query.where(low_balance_alert.c.account_id == account_id)
    found: int | None = connection.execute(of_account).scalar_one_or_none()
    return found
