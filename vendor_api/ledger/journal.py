"""The append-only journal: every movement of money, its entries summing to zero."""

from sqlalchemy import Connection, insert, select

from vendor_api.db.tables import ledger_entry, ledger_txn
from vendor_api.ledger import balance
from vendor_api.ledger.commands import Booking, LedgerError, ReferenceReused
from vendor_api.ledger.ids import new_id

CASH = "cash"
"""The house's book that credits come out of."""
PROMO_EXPENSE = "promo_expense"
"""What was given away."""
BREAKAGE = "breakage"
"""What customers let expire."""
ADJUSTMENTS = "adjustments"
"""What operators corrected by hand."""

__all__ = [
    "ADJUSTMENTS",
    "BREAKAGE",
    "CASH",
    "PROMO_EXPENSE",
    "customer_book",
    "find_booking",
    "record",
    "revenue_book",
]


def customer_book(account_id: str) -> str:
    """The book of what a customer has with the vendor."""
    return f"customer:{account_id}"


def revenue_book(model: str) -> str:
    """The book of what a model has earned."""
    return f"revenue:{model}"


def record(
    connection: Connection,
    now: int,
    *,
    kind: str,
    ref: str,
    account_id: str,
    legs: dict[str, int],
    charge_id: str | None = None,
    reason: str | None = None,
) -> str:
    """Write one transaction with its entries, book → signed amount; returns its id.

    Raises LedgerError when the amounts do not sum to zero, and the database's IntegrityError when
    the kind has this reference already.
    """
    if sum(legs.values()) != 0:
        raise LedgerError(f"the entries of {kind} {ref} do not sum to zero")
    txn_id = new_id("txn")
    header = {"id": txn_id, "kind": kind, "ref": ref, "account_id": account_id, "created_at": now}
    connection.execute(insert(ledger_txn).values(**header, charge_id=charge_id, reason=reason))
    rows = [
        {"txn_id": txn_id, "line": line, "book": book, "amount_nanousd": amount}
        for line, (book, amount) in enumerate(legs.items())
    ]
    connection.execute(insert(ledger_entry), rows)
    return txn_id


def find_booking(
    connection: Connection,
    kind: str,
    ref: str,
    *,
    account_id: str,
    amount_nanousd: int | None,
    charge_id: str | None = None,
) -> Booking | None:
    """What was booked under this kind and reference before; None when nothing was.

    Raises ReferenceReused when that was of another account, charge or amount (None: any amount).
    """
    query = (
        select(ledger_txn, ledger_entry.c.amount_nanousd)
        .join(ledger_entry, ledger_entry.c.txn_id == ledger_txn.c.id)
        .where(ledger_txn.c.kind == kind, ledger_txn.c.ref == ref)
        .where(ledger_entry.c.book == "customer:" + ledger_txn.c.account_id)
    )
    row = connection.execute(query).one_or_none()
    if row is None:
        return None
    wanted = row.amount_nanousd if amount_nanousd is None else amount_nanousd
    known = (row.account_id, row.charge_id, row.amount_nanousd)
    if known != (account_id, charge_id, wanted):
        raise ReferenceReused(ref)
    available = balance.read_available(connection, account_id)
    return Booking(row.id, account_id, row.amount_nanousd, False, available)
