"""The end of an account: its balance goes to zero by booked transactions, and nothing opens it again."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, case, func, insert, select, update

from shared.money import show_usd
from vendor_api.db.tables import (
    account,
    account_balance,
    account_closure,
    api_key,
    credit_grant,
    ledger_txn,
)
from vendor_api.ledger import balance, credits, journal, reservation
from vendor_api.ledger.commands import LedgerError, ReferenceReused
from vendor_api.ledger.holds import list_holds

__all__ = ["CannotClose", "Close", "Closure", "close_account", "find_closure"]


class CannotClose(LedgerError):
    """The account is in use, owes money, or was closed otherwise; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Close:
    """End an account for ever."""

    account_id: str
    reason: str
    refund_ref: str | None = None
    """Of the payment that gives back what was paid in and not spent; None: that is forfeited."""


@dataclass(frozen=True, slots=True)
class Closure:
    """How an account ended."""

    account_id: str
    closed_at: int
    """Microseconds."""
    reason: str
    refund_ref: str | None
    refunded_nanousd: int
    """Paid back outside, booked as an adjustment under `refund_ref`."""
    forfeited_nanousd: int
    """Booked as expired: all that was given away, and what was paid in when nothing is refunded."""
    erased_at: int | None = None
    """When names and digests were erased."""
    new: bool = False
    """Whether this very call closed it."""


def close_account(connection: Connection, now: int, command: Close) -> Closure:
    """Book the balance away, end every key, close; the same command again changes nothing.

    Raises UnknownAccount, CannotClose while a request is held or money is owed, ReferenceReused, and
    ValueError for a missing reason.
    """
    if not command.reason.strip():
        raise ValueError("a closing needs a reason: say why")
    account_id = command.account_id
    balance.lock(connection, [account_id])
    balance.read_available(connection, account_id)
    known = find_closure(connection, account_id)
    if known is not None:
        return _recognise(known, command)
    reservation.expire(connection, now, account_id=account_id)
    _require_idle(connection, account_id)
    credits.settle(connection, now, account_id)
    left = _count_left(connection, account_id)
    refunded = _refund(connection, now, command, left)
    _forfeit(connection, now, account_id, left - refunded)
    _empty(connection, now, account_id)
    _end_keys(connection, now, account_id)
    closure = Closure(
        account_id, now, command.reason, command.refund_ref, refunded, left - refunded
    )
    _write(connection, closure)
    return replace(closure, new=True)


def find_closure(connection: Connection, account_id: str) -> Closure | None:
    """How the account ended; None while it is open."""
    query = select(account_closure).where(account_closure.c.account_id == account_id)
    row = connection.execute(query).one_or_none()
    return None if row is None else Closure(**row._mapping)


def _recognise(known: Closure, command: Close) -> Closure:
    if command.refund_ref not in (None, known.refund_ref):
        told = "without a refund" if known.refund_ref is None else f"under {known.refund_ref}"
        raise CannotClose(f"the account is closed already, {told}: nothing was booked")
    return known


def _require_idle(connection: Connection, account_id: str) -> None:
    holds = list_holds(connection, account_id)
    if holds:
        raise CannotClose(
            f"the account has {len(holds)} requests under way: freeze it, wait until they are done "
            "(a minute and a half at most), then close it"
        )


def _count_left(connection: Connection, account_id: str) -> int:
    query = select(account_balance.c.credited_nanousd - account_balance.c.debited_nanousd)
    left: int = connection.execute(
        query.where(account_balance.c.account_id == account_id)
    ).scalar_one()
    if left < 0:
        raise CannotClose(
            f"the account owes {show_usd(-left)}: book its payment or write it off with an "
            "adjustment first"
        )
    return left


def _refund(connection: Connection, now: int, command: Close, left: int) -> int:
    """Book what is paid back: what was paid in and not spent, never what was given away."""
    if command.refund_ref is None:
        return 0
    account_id = command.account_id
    paid = sum(grant.remaining for grant in _list_grants(connection, account_id) if not grant.promo)
    amount = min(paid, left)
    known = journal.find_booking(
        connection, "adjust", command.refund_ref, account_id=account_id, amount_nanousd=None
    )
    if known is not None:
        raise ReferenceReused(command.refund_ref)
    if amount:
        journal.record(
            connection,
            now,
            kind="adjust",
            ref=command.refund_ref,
            account_id=account_id,
            legs={journal.customer_book(account_id): -amount, journal.ADJUSTMENTS: amount},
            reason=f"paid back at closing: {command.reason}",
        )
    return amount


def _forfeit(connection: Connection, now: int, account_id: str, amount: int) -> None:
    """Book the rest as expired, grant by grant, what was given away first."""
    for grant in _list_grants(connection, account_id):
        lost = min(grant.remaining, amount)
        if lost:
            journal.record(
                connection,
                now,
                kind="expire",
                ref=f"{grant.id}:{grant.remaining}",
                account_id=account_id,
                legs={journal.customer_book(account_id): -lost, journal.BREAKAGE: lost},
            )
        amount -= lost


@dataclass(frozen=True, slots=True)
class _Rest:
    id: str
    remaining: int
    promo: bool


def _list_grants(connection: Connection, account_id: str) -> Sequence[_Rest]:
    promo = case((ledger_txn.c.kind == "promo", 1), else_=0)
    query = (
        select(credit_grant.c.id, credit_grant.c.remaining_nanousd, promo.label("promo"))
        .join(ledger_txn, ledger_txn.c.id == credit_grant.c.txn_id)
        .where(credit_grant.c.account_id == account_id, credit_grant.c.remaining_nanousd > 0)
        .order_by(promo.desc(), credit_grant.c.granted_at, credit_grant.c.id)
    )
    return [
        _Rest(row.id, row.remaining_nanousd, bool(row.promo)) for row in connection.execute(query)
    ]


def _empty(connection: Connection, now: int, account_id: str) -> None:
    """Everything that came in has gone out, and nothing more can be owed."""
    credited = account_balance.c.credited_nanousd
    connection.execute(
        update(credit_grant)
        .where(credit_grant.c.account_id == account_id)
        .values(remaining_nanousd=0)
    )
    connection.execute(
        update(account_balance)
        .where(account_balance.c.account_id == account_id)
        .values(
            debited_nanousd=credited,
            drawn_nanousd=credited,
            drawn_at=case(
                (account_balance.c.drawn_at > now, account_balance.c.drawn_at), else_=now
            ),
            credit_limit_nanousd=0,
            next_expiry_at=None,
        )
    )


def _end_keys(connection: Connection, now: int, account_id: str) -> None:
    connection.execute(
        update(api_key)
        .where(api_key.c.account_id == account_id)
        .values(revoked_at=func.coalesce(api_key.c.revoked_at, now))
    )


def _write(connection: Connection, closure: Closure) -> None:
    connection.execute(
        update(account).where(account.c.id == closure.account_id).values(status="closed")
    )
    connection.execute(
        insert(account_closure).values(
            account_id=closure.account_id,
            closed_at=closure.closed_at,
            reason=closure.reason,
            refund_ref=closure.refund_ref,
            refunded_nanousd=closure.refunded_nanousd,
            forfeited_nanousd=closure.forfeited_nanousd,
        )
    )
