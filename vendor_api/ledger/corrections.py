"""What an operator puts right: money back for a charge, a balance moved up or down by hand."""

from typing import Any

from sqlalchemy import Connection, Row, select, update

from vendor_api.db.tables import charge
from vendor_api.ledger import balance, credits, journal
from vendor_api.ledger.commands import (
    Adjust,
    Booking,
    InsufficientCredit,
    OverRefund,
    Refund,
    UnknownCharge,
)
from vendor_api.ledger.standing import require_open

__all__ = ["adjust_balance", "refund_charge"]


def refund_charge(connection: Connection, now: int, command: Refund) -> Booking:
    """Give back what a captured charge cost, or a part, as credit that never expires.

    Done once for each reference. Raises UnknownCharge, OverRefund when the charge has less left to
    give back (nothing, before its capture), AccountClosed, ReferenceReused, and ValueError for an
    amount that is not more than zero or a missing reason.
    """
    if command.amount_nanousd is not None and command.amount_nanousd <= 0:
        raise ValueError("a refund is more than zero")
    _require_reason(command.reason)
    account_id = _lock_owner(connection, command.charge_id)
    known = journal.find_booking(
        connection,
        "refund",
        command.external_ref,
        account_id=account_id,
        amount_nanousd=command.amount_nanousd,
        charge_id=command.charge_id,
    )
    if known is not None:
        return known
    require_open(connection, account_id)
    credits.settle(connection, now, account_id)
    row, amount = _count_refund(connection, command)
    legs = {journal.customer_book(account_id): amount, journal.revenue_book(row.model): -amount}
    txn_id = journal.record(
        connection,
        now,
        kind="refund",
        ref=command.external_ref,
        account_id=account_id,
        legs=legs,
        charge_id=command.charge_id,
        reason=command.reason,
    )
    return credits.open_grant(connection, now, account_id, txn_id, amount)


def adjust_balance(connection: Connection, now: int, command: Adjust) -> Booking:
    """Move a balance up, as credit that never expires, or down, as far as it is available.

    Done once for each reference. Raises UnknownAccount, AccountClosed, InsufficientCredit,
    ReferenceReused, and ValueError for an amount of zero or a missing reason.
    """
    account_id, amount = command.account_id, command.amount_nanousd
    if amount == 0:
        raise ValueError("an adjustment is more or less than zero")
    _require_reason(command.reason)
    balance.lock(connection, [account_id])
    balance.read_available(connection, account_id)
    known = journal.find_booking(
        connection, "adjust", command.external_ref, account_id=account_id, amount_nanousd=amount
    )
    if known is not None:
        return known
    require_open(connection, account_id)
    credits.settle(connection, now, account_id)
    available = balance.read_available(connection, account_id)
    if available + amount < 0:
        raise InsufficientCredit(-amount, available)
    legs = {journal.customer_book(account_id): amount, journal.ADJUSTMENTS: -amount}
    txn_id = journal.record(
        connection,
        now,
        kind="adjust",
        ref=command.external_ref,
        account_id=account_id,
        legs=legs,
        reason=command.reason,
    )
    if amount > 0:
        return credits.open_grant(connection, now, account_id, txn_id, amount)
    left = balance.debit(connection, account_id, held_nanousd=0, cost_nanousd=-amount)
    credits.expire_due(connection, now, account_id, spent_nanousd=-amount, held_at=now)
    return Booking(txn_id, account_id, amount, True, left)


def _require_reason(reason: str) -> None:
    if not reason.strip():
        raise ValueError("a correction needs a reason: say what went wrong")


def _lock_owner(connection: Connection, charge_id: str) -> str:
    query = select(charge.c.account_id).where(charge.c.id == charge_id)
    account_id: str | None = connection.execute(query).scalar_one_or_none()
    if account_id is None:
        raise UnknownCharge(charge_id)
    balance.lock(connection, [account_id])
    return account_id


def _count_refund(connection: Connection, command: Refund) -> tuple[Row[Any], int]:
    row = connection.execute(select(charge).where(charge.c.id == command.charge_id)).one()
    left = row.cost_nanousd - row.refunded_nanousd
    amount = left if command.amount_nanousd is None else command.amount_nanousd
    statement = (
        update(charge)
        .where(charge.c.id == command.charge_id, charge.c.state == "captured")
        .where(charge.c.cost_nanousd - charge.c.refunded_nanousd >= amount)
        .values(refunded_nanousd=charge.c.refunded_nanousd + amount)
    )
    if amount == 0 or connection.execute(statement).rowcount != 1:
        raise OverRefund(amount, left)
    return row, amount
