"""Erases what a closed account need not keep: its digests, its name, its keys' names and hashes."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, tuple_, update

from vendor_api.db.clock import DAY
from vendor_api.db.tables import (
    account,
    account_closure,
    api_key,
    audit_log,
    coverage_sketch,
    low_balance_alert,
    purchase,
)
from vendor_api.ledger.ids import new_id

SLICE = 5000
"""Digests in one transaction: other accounts' requests go in between."""
ACTOR = "retention"

__all__ = ["ACTOR", "SLICE", "Erased", "accounts_to_erase", "erase_names", "erase_purchases"]


@dataclass(frozen=True, slots=True)
class Erased:
    """What went of one account."""

    account_id: str
    purchases: int
    keys: int


def accounts_to_erase(connection: Connection, now: int, *, days: int) -> list[Erased]:
    """Closed accounts whose time has come, with what there is to erase; changes nothing."""
    query = select(account_closure.c.account_id).where(
        account_closure.c.erased_at.is_(None), account_closure.c.closed_at <= now - days * DAY
    )
    ids = connection.execute(query.order_by(account_closure.c.account_id)).scalars().all()
    return [_count(connection, account_id) for account_id in ids]


def erase_purchases(connection: Connection, account_id: str, *, limit: int = SLICE) -> int:
    """Delete so many of the account's digests; how many went. 0: there are none left."""
    key = (purchase.c.account_id, purchase.c.revision, purchase.c.modality, purchase.c.digest)
    some = select(*key).where(purchase.c.account_id == account_id).limit(limit)
    statement = delete(purchase).where(purchase.c.account_id == account_id, tuple_(*key).in_(some))
    return connection.execute(statement).rowcount


def erase_names(connection: Connection, now: int, found: Erased) -> bool:
    """Replace the account's name and its keys' names and hashes; False when they were before.

    The last step: only now is the account done with. A line in the audit log says how much went.
    """
    account_id = found.account_id
    done = update(account_closure).where(
        account_closure.c.account_id == account_id, account_closure.c.erased_at.is_(None)
    )
    if connection.execute(done.values(erased_at=now)).rowcount != 1:
        return False
    connection.execute(
        update(account).where(account.c.id == account_id).values(name=f"closed {account_id}")
    )
    connection.execute(
        update(api_key)
        .where(api_key.c.account_id == account_id)
        .values(name="", secret_hmac=b"", last_used_at=None)
    )
    for table in (coverage_sketch, low_balance_alert):
        connection.execute(delete(table).where(table.c.account_id == account_id))
    connection.execute(
        insert(audit_log).values(
            id=new_id("act"),
            at=now,
            actor=ACTOR,
            action="account.erase",
            subject=account_id,
            detail=json.dumps({"purchases": found.purchases, "keys": found.keys}),
        )
    )
    return True


def _count(connection: Connection, account_id: str) -> Erased:
    def count(table_column: object) -> int:
        query = select(func.count()).where(table_column == account_id)  # type: ignore[arg-type]
        return int(connection.execute(query).scalar_one())

    return Erased(account_id, count(purchase.c.account_id), count(api_key.c.account_id))
