"""The append-only journal: every movement of money, its entries summing to zero."""

from sqlalchemy import Connection, insert, select

from vendor_api.db.tables import ledger_entry, ledger_txn
from vendor_api.ledger import balance
from vendor_api.ledger.commands import LedgerError, ReferenceReused
from vendor_api.ledger.ids import new_id

CASH = "cash"
"""The house's book that credits come out of."""

__all__ = ["CASH", "add_credit", "customer_book", "record", "revenue_book"]


def customer_book(account_id: str) -> str:
    """The book of what a customer has with the vendor."""
    return f"customer:{account_id}"


def revenue_book(model: str) -> str:
    """The book of what a model has earned."""
    return f"revenue:{model}"


def record(
    connection: Connection, now: int, *, kind: str, ref: str, account_id: str, legs: dict[str, int]
) -> str:
    """Write one transaction with its entries, book → signed amount; returns its id.

    Raises LedgerError when the amounts do not sum to zero, and the database's IntegrityError when
    the kind has this reference already.
    """
    if sum(legs.values()) != 0:
        raise LedgerError(f"the entries of {kind} {ref} do not sum to zero")
    txn_id = new_id("txn")
    header = {"id": txn_id, "kind": kind, "ref": ref, "account_id": account_id, "created_at": now}
    connection.execute(insert(ledger_txn).values(**header))
    rows = [
        {"txn_id": txn_id, "line": line, "book": book, "amount_nanousd": amount}
        for line, (book, amount) in enumerate(legs.items())
    ]
    connection.execute(insert(ledger_entry), rows)
    return txn_id


def add_credit(
    connection: Connection, now: int, account_id: str, amount_nanousd: int, external_ref: str
) -> bool:
    """Pay money in, once for each reference; False when this very credit was there already.

    Raises UnknownAccount, and ReferenceReused when the reference belongs to a different credit.
    """
    if amount_nanousd <= 0:
        raise ValueError("a credit is more than zero")
    balance.lock(connection, [account_id])
    balance.read_available(connection, account_id)
    known = _find_credit(connection, external_ref)
    if known == (account_id, amount_nanousd):
        return False
    if known is not None:
        raise ReferenceReused(external_ref)
    balance.credit(connection, account_id, amount_nanousd)
    legs = {customer_book(account_id): amount_nanousd, CASH: -amount_nanousd}
    record(connection, now, kind="credit", ref=external_ref, account_id=account_id, legs=legs)
    return True


def _find_credit(connection: Connection, external_ref: str) -> tuple[str, int] | None:
    query = (
        select(ledger_txn.c.account_id, ledger_entry.c.amount_nanousd)
        .join(ledger_entry, ledger_entry.c.txn_id == ledger_txn.c.id)
        .where(ledger_txn.c.kind == "credit", ledger_txn.c.ref == external_ref)
        .where(ledger_entry.c.book != CASH)
    )
    row = connection.execute(query).one_or_none()
    return None if row is None else (row.account_id, row.amount_nanousd)
