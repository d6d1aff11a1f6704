"""Everybody's books as an operator reads them: accounts, charges, journal."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, select

from shared.money import format_usd
from vendor_api.admin.documents import (
    AccountDocument,
    ChargeRecord,
    EntryDocument,
    Listing,
    TransactionDocument,
)
from vendor_api.db import format_instant
from vendor_api.db.tables import (
    account,
    account_balance,
    charge,
    ledger_entry,
    ledger_txn,
)
from vendor_api.ledger.balance import AVAILABLE
from vendor_api.ledger.commands import UnknownAccount, UnknownCharge

__all__ = [
    "ChargeFilter",
    "Span",
    "find_charge",
    "list_accounts",
    "list_charges",
    "list_transactions",
    "read_account",
]


@dataclass(frozen=True, slots=True)
class Span:
    """Which rows: of one account or all, between two instants."""

    account_id: str | None = None
    since: int | None = None
    """Microseconds, included."""
    until: int | None = None
    """Microseconds, not included."""

    def narrow(self, query: Select[Any], account_column: Any, time_column: Any) -> Select[Any]:
        """The query for these rows only."""
        if self.account_id is not None:
            query = query.where(account_column == self.account_id)
        if self.since is not None:
            query = query.where(time_column >= self.since)
        if self.until is not None:
            query = query.where(time_column < self.until)
        return query


@dataclass(frozen=True, slots=True)
class ChargeFilter:
    """Which charges, by when they were asked for."""

    span: Span = Span()
    state: str | None = None
    request_id: str | None = None
    idempotency_key: str | None = None

    def apply(self, query: Select[Any]) -> Select[Any]:
        """The query for these charges only."""
        query = self.span.narrow(query, charge.c.account_id, charge.c.created_at)
        for name in ("state", "request_id", "idempotency_key"):
            value = getattr(self, name)
            if value is not None:
                query = query.where(charge.c[name] == value)
        return query


_ACCOUNTS = select(account, account_balance, AVAILABLE.label("available_nanousd")).join(
    account_balance, account_balance.c.account_id == account.c.id
)


def list_accounts(
    connection: Connection, *, after: str | None = None, limit: int = 100
) -> Listing[AccountDocument]:
    """Accounts with their balances, oldest first."""
    query = _ACCOUNTS if after is None else _ACCOUNTS.where(account.c.id > after)
    rows = connection.execute(query.order_by(account.c.id).limit(limit + 1)).all()
    return Listing(data=[_account(row) for row in rows[:limit]], has_more=len(rows) > limit)


def read_account(connection: Connection, account_id: str) -> AccountDocument:
    """One account with its balance. Raises UnknownAccount."""
    row = connection.execute(_ACCOUNTS.where(account.c.id == account_id)).one_or_none()
    if row is None:
        raise UnknownAccount(account_id)
    return _account(row)


def list_charges(
    connection: Connection,
    wanted: ChargeFilter = ChargeFilter(),
    *,
    after: str | None = None,
    limit: int = 100,
    newest: bool = False,
) -> Listing[ChargeRecord]:
    """Charges, oldest first, from behind the charge `after`; or the newest first."""
    query = wanted.apply(select(charge))
    if after is not None:
        query = query.where(charge.c.id > after)
    order = charge.c.id.desc() if newest else charge.c.id
    rows = connection.execute(query.order_by(order).limit(limit + 1)).all()
    return Listing(data=[_charge(row) for row in rows[:limit]], has_more=len(rows) > limit)


def find_charge(connection: Connection, charge_id: str) -> ChargeRecord:
    """One charge. Raises UnknownCharge."""
    row = connection.execute(select(charge).where(charge.c.id == charge_id)).one_or_none()
    if row is None:
        raise UnknownCharge(charge_id)
    return _charge(row)


def list_transactions(
    connection: Connection, span: Span, *, after: str | None = None, limit: int = 100
) -> Listing[TransactionDocument]:
    """Movements of money with their entries, oldest first."""
    query = span.narrow(select(ledger_txn), ledger_txn.c.account_id, ledger_txn.c.created_at)
    if after is not None:
        query = query.where(ledger_txn.c.id > after)
    rows = connection.execute(query.order_by(ledger_txn.c.id).limit(limit + 1)).all()
    entries = _read_entries(connection, [row.id for row in rows[:limit]])
    data = [_transaction(row, entries.get(row.id, [])) for row in rows[:limit]]
    return Listing(data=data, has_more=len(rows) > limit)


def _read_entries(connection: Connection, txn_ids: Sequence[str]) -> dict[str, list[EntryDocument]]:
    query = select(ledger_entry).where(ledger_entry.c.txn_id.in_(txn_ids))
    found: dict[str, list[EntryDocument]] = {}
    for row in connection.execute(query.order_by(ledger_entry.c.txn_id, ledger_entry.c.line)):
        entry = EntryDocument(book=row.book, amount_usd=format_usd(row.amount_nanousd))
        found.setdefault(row.txn_id, []).append(entry)
    return found


def _account(row: Row[Any]) -> AccountDocument:
    return AccountDocument(
        id=row.id,
        name=row.name,
        status=row.status,
        created_at=format_instant(row.created_at),
        credited_usd=format_usd(row.credited_nanousd),
        debited_usd=format_usd(row.debited_nanousd),
        held_usd=format_usd(row.held_nanousd),
        credit_limit_usd=format_usd(row.credit_limit_nanousd),
        available_usd=format_usd(row.available_nanousd),
    )


def _charge(row: Row[Any]) -> ChargeRecord:
    same = {name: getattr(row, name) for name in _SAME_IN_A_CHARGE}
    return ChargeRecord(
        **same,
        reserved_usd=format_usd(row.reserved_nanousd),
        cost_usd=format_usd(row.cost_nanousd),
        refunded_usd=format_usd(row.refunded_nanousd),
        created_at=format_instant(row.created_at),
        captured_at=None if row.captured_at is None else format_instant(row.captured_at),
    )


_SAME_IN_A_CHARGE = (
    "id",
    "account_id",
    "key_id",
    "state",
    "idempotency_key",
    "request_id",
    "model",
    "revision",
    "images",
    "images_free",
    "texts",
    "texts_free",
    "replays",
)


def _transaction(row: Row[Any], entries: list[EntryDocument]) -> TransactionDocument:
    return TransactionDocument(
        id=row.id,
        kind=row.kind,
        ref=row.ref,
        account_id=row.account_id,
        charge_id=row.charge_id,
        reason=row.reason,
        created_at=format_instant(row.created_at),
        entries=entries,
    )
