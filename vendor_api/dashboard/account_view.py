"""One account with everything that a person who looks after it wants to see."""

from typing import Any

from sqlalchemy import Connection, Row, select

from vendor_api.admin.usage import Day, list_days
from vendor_api.auth.repository import list_keys
from vendor_api.dashboard.account_list import AccountRow, read_account_row
from vendor_api.dashboard.figures import Figures, Instant, Nanousd
from vendor_api.dashboard.key_list import KeyRow, describe_key_rows
from vendor_api.db.clock import DAY
from vendor_api.db.tables import (
    account_balance,
    charge,
    credit_grant,
    ledger_entry,
    ledger_txn,
)
from vendor_api.ledger.closing import Closure, find_closure
from vendor_api.ledger.credits import Grant, list_grants
from vendor_api.ledger.journal import customer_book
from vendor_api.limits.tally import Tally

CHARGES = 20
CHART_DAYS = 30

__all__ = [
    "CHARGES",
    "CHART_DAYS",
    "AccountView",
    "ChargeRow",
    "ClosureRow",
    "DayRow",
    "GrantRow",
    "Movement",
    "find_movement",
    "list_account_days",
    "view_account",
]


class GrantRow(Figures):
    """Credit that came in at once, and what is left of it."""

    id: str
    txn_id: str
    kind: str
    ref: str
    reason: str | None
    amount_nanousd: Nanousd
    remaining_nanousd: Nanousd
    granted_at: Instant
    expires_at: Instant | None


class DayRow(Figures):
    """One day of UTC, by the time of capture."""

    at: Instant
    items: int
    items_free: int
    items_failed: int
    cost_nanousd: Nanousd


class ChargeRow(Figures):
    """One of the account's latest charges."""

    id: str
    created_at: Instant
    key_id: str
    model: str
    state: str
    images: int
    texts: int
    cost_nanousd: Nanousd
    refunded_nanousd: Nanousd


class Movement(Figures):
    """A movement of money that was just booked."""

    id: str
    kind: str
    ref: str
    amount_nanousd: Nanousd
    created_at: Instant


class ClosureRow(Figures):
    """How the account ended."""

    closed_at: Instant
    reason: str
    refund_ref: str | None
    refunded_nanousd: Nanousd
    forfeited_nanousd: Nanousd
    erased_at: Instant | None


class AccountView(Figures):
    """An account as its page shows it."""

    account: AccountRow
    credited_nanousd: Nanousd
    debited_nanousd: Nanousd
    credit_limit_nanousd: Nanousd
    grants: list[GrantRow]
    """In the order in which they are spent: soonest expiry first, empty ones last."""
    keys: list[KeyRow]
    days: list[DayRow]
    """The latest days, oldest first, those without use too."""
    charges: list[ChargeRow]
    """The newest first."""
    closure: ClosureRow | None
    """None while it is open."""
    as_of: Instant


def view_account(connection: Connection, now: int, account_id: str, tally: Tally) -> AccountView:
    """Everything about the account. Raises UnknownAccount."""
    row = read_account_row(connection, now, account_id)
    balance = connection.execute(
        select(account_balance).where(account_balance.c.account_id == account_id)
    ).one()
    return AccountView(
        account=row,
        credited_nanousd=balance.credited_nanousd,
        debited_nanousd=balance.debited_nanousd,
        credit_limit_nanousd=balance.credit_limit_nanousd,
        grants=_list_grants(connection, account_id),
        keys=describe_key_rows(connection, now, list_keys(connection, account_id), tally),
        days=list_account_days(connection, now, account_id, CHART_DAYS),
        charges=_list_charges(connection, account_id),
        closure=_describe_closure(find_closure(connection, account_id)),
        as_of=now,
    )


def list_account_days(connection: Connection, now: int, account_id: str, days: int) -> list[DayRow]:
    """The latest `days` days of UTC, oldest first, those without use too; today is the last."""
    today = now - now % DAY
    first = today - (days - 1) * DAY
    used = {day.at: day for day in list_days(connection, first, account_id)}
    return [_day(used.get(at, Day(at))) for at in range(first, today + 1, DAY)]


def find_movement(connection: Connection, account_id: str, txn_id: str) -> Movement | None:
    """A movement of the account, as its customer's balance sees it."""
    row = connection.execute(
        select(ledger_txn, ledger_entry.c.amount_nanousd)
        .join(ledger_entry, ledger_entry.c.txn_id == ledger_txn.c.id)
        .where(ledger_txn.c.id == txn_id, ledger_txn.c.account_id == account_id)
        .where(ledger_entry.c.book == customer_book(account_id))
    ).one_or_none()
    if row is None:
        return None
    return Movement(**{name: getattr(row, name) for name in Movement.model_fields})


def _day(day: Day) -> DayRow:
    return DayRow(
        at=day.at,
        items=day.items,
        items_free=day.items_free,
        items_failed=day.items_failed,
        cost_nanousd=day.cost_nanousd,
    )


def _list_grants(connection: Connection, account_id: str) -> list[GrantRow]:
    origins = connection.execute(
        select(credit_grant.c.id.label("grant_id"), ledger_txn)
        .join(ledger_txn, ledger_txn.c.id == credit_grant.c.txn_id)
        .where(credit_grant.c.account_id == account_id)
    )
    known = {row.grant_id: row for row in origins}
    grants = sorted(list_grants(connection, account_id), key=_place)
    return [_grant(grant, known[grant.id]) for grant in grants]


def _place(grant: Grant) -> tuple[bool, bool, int, int, str]:
    return (
        grant.remaining_nanousd == 0,
        grant.expires_at is None,
        grant.expires_at or 0,
        grant.granted_at,
        grant.id,
    )


def _grant(grant: Grant, origin: Row[Any]) -> GrantRow:
    return GrantRow(
        id=grant.id,
        txn_id=origin.id,
        kind=origin.kind,
        ref=origin.ref,
        reason=origin.reason,
        amount_nanousd=grant.amount_nanousd,
        remaining_nanousd=grant.remaining_nanousd,
        granted_at=grant.granted_at,
        expires_at=grant.expires_at,
    )


def _list_charges(connection: Connection, account_id: str) -> list[ChargeRow]:
    query = select(charge).where(charge.c.account_id == account_id)
    rows = connection.execute(query.order_by(charge.c.id.desc()).limit(CHARGES)).all()
    return [
        ChargeRow(**{name: getattr(row, name) for name in ChargeRow.model_fields}) for row in rows
    ]


def _describe_closure(found: Closure | None) -> ClosureRow | None:
    if found is None:
        return None
    return ClosureRow(
        closed_at=found.closed_at,
        reason=found.reason,
        refund_ref=found.refund_ref,
        refunded_nanousd=found.refunded_nanousd,
        forfeited_nanousd=found.forfeited_nanousd,
        erased_at=found.erased_at,
    )
