"""Erases what a closed account need not keep: its digests, its name, its keys' names and hashes."""

import json
from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, literal, select, tuple_, update

from vendor_api.db.clock import DAY
from vendor_api.db.tables import (
    account,
    account_closure,
    api_key,
    audit_log,
    coverage_sketch,
    low_balance_alert,
    purchase_lot,
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
    """Delete lots with about so many of the account's digests; how many went. 0: none are left."""
    key = tuple(purchase_lot.primary_key.columns)
    query = select(*key, purchase_lot.c["items"]).where(purchase_lot.c.account_id == account_id)
    gone, last = 0, None
    for *last, items in connection.execute(query.order_by(*key).limit(limit)):  # noqa: B007
        gone += items
        if gone >= limit:
            break
    if last is not None:
        upto = tuple_(*key) <= tuple_(*map(literal, last))
        connection.execute(
            delete(purchase_lot).where(purchase_lot.c.account_id == account_id, upto)
        )
    return gone


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
    bought = select(func.coalesce(func.sum(purchase_lot.c["items"]), 0))
    purchases = connection.execute(bought.where(purchase_lot.c.account_id == account_id))
    keys = connection.execute(select(func.count()).where(api_key.c.account_id == account_id))
    return Erased(account_id, int(purchases.scalar_one()), keys.scalar_one())
