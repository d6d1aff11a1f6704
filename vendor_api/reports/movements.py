"""What moved the customers' balances: by kind, over a span, and one by one."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Row, Select, and_, func, literal_column, select

from vendor_api.db.tables import account, ledger_entry, ledger_txn, usage_rollup
from vendor_api.reports.places import read_place, write_place
from vendor_api.reports.ranges import Range

KINDS = ("credit", "promo", "refund", "adjust", "expire")
"""Every kind but captures: those are counted by the hour, and their rows are the charges."""
_ROWS_AT_ONCE = 1000

__all__ = [
    "KINDS",
    "Movement",
    "MovementPage",
    "Movements",
    "is_kind",
    "is_owner",
    "list_movements",
    "not_captures",
    "read_movements",
    "stream_movements",
]


@dataclass(frozen=True, slots=True)
class Movements:
    """Sums over a span, each as it was booked; `adjusted` may be less than zero."""

    sold_nanousd: int = 0
    given_nanousd: int = 0
    captured_nanousd: int = 0
    refunded_nanousd: int = 0
    adjusted_nanousd: int = 0
    expired_nanousd: int = 0

    @property
    def change_nanousd(self) -> int:
        """By how much the customers' balances grew."""
        came = self.sold_nanousd + self.given_nanousd + self.refunded_nanousd
        return came + self.adjusted_nanousd - self.captured_nanousd - self.expired_nanousd


@dataclass(frozen=True, slots=True)
class Movement:
    """One movement of a customer's balance; `amount_nanousd` is as the balance sees it."""

    id: str
    at: int
    kind: str
    account_id: str
    account: str
    amount_nanousd: int
    ref: str
    charge_id: str | None
    reason: str | None


@dataclass(frozen=True, slots=True)
class MovementPage:
    """Some movements, the latest first; `after` leads on, None at the end."""

    rows: list[Movement]
    after: str | None


def not_captures() -> ColumnElement[bool]:
    """True for the few movements that are no captures, in the words of the index that holds them."""
    # A literal, lest the index over these alone is of no use; a bound, lest another one is preferred.
    return and_(ledger_txn.c.kind != literal_column("'capture'"), ledger_txn.c.created_at >= 0)


def is_kind(kind: str) -> ColumnElement[bool]:
    """Whether a movement is of that kind."""
    # An expression, lest the much longer index over all kinds and references is used.
    return func.coalesce(ledger_txn.c.kind, "") == kind


def is_owner(account_id: str) -> ColumnElement[bool]:
    """Whether a movement is the account's; an expression for the same reason."""
    return func.coalesce(ledger_txn.c.account_id, "") == account_id


def read_movements(connection: Connection, span: Range, account_id: str | None) -> Movements:
    """The sums over the whole hours of `span`, of one account or all.

    Captures come from the hourly usage, which the audit holds equal to the journal; everything else
    from the journal itself.
    """
    hours = span.in_hours()
    amount = func.sum(ledger_entry.c.amount_nanousd)
    kind = func.coalesce(ledger_txn.c.kind, "").label("kind")
    query = _of_customers(select(kind, amount)).group_by(kind)
    query = _narrow(query, hours, account_id)
    sums = {name: int(total) for name, total in connection.execute(query)}
    return Movements(
        sold_nanousd=sums.get("credit", 0),
        given_nanousd=sums.get("promo", 0),
        captured_nanousd=_sum_captures(connection, hours, account_id),
        refunded_nanousd=sums.get("refund", 0),
        adjusted_nanousd=sums.get("adjust", 0),
        expired_nanousd=-sums.get("expire", 0),
    )


def list_movements(
    connection: Connection,
    span: Range,
    *,
    account_id: str | None = None,
    kind: str | None = None,
    after: str | None = None,
    limit: int = 100,
) -> MovementPage:
    """Movements that are no captures, the latest first. Raises BadPlace."""
    query = _select_movements(span, account_id, kind)
    if after is not None:
        at, txn_id = read_place(after, (int, str))
        created = ledger_txn.c.created_at
        query = query.where((created < at) | ((created == at) & (ledger_txn.c.id < txn_id)))
    found = connection.execute(query.limit(limit + 1)).all()
    rows = [_movement(row) for row in found[:limit]]
    more = len(found) > limit
    return MovementPage(rows, write_place([rows[-1].at, rows[-1].id]) if more else None)


def stream_movements(
    connection: Connection, span: Range, *, account_id: str | None = None, kind: str | None = None
) -> Iterator[Movement]:
    """The same rows, all of them."""
    query = _select_movements(span, account_id, kind)
    for row in connection.execute(query, execution_options={"yield_per": _ROWS_AT_ONCE}):
        yield _movement(row)


def _select_movements(span: Range, account_id: str | None, kind: str | None) -> Select[Any]:
    columns = (
        ledger_txn,
        ledger_entry.c.amount_nanousd,
        account.c.name.label("account"),
    )
    query = _narrow(_of_customers(select(*columns)), span.in_hours(), account_id)
    query = query.join(account, account.c.id == ledger_txn.c.account_id)
    if kind is not None:
        query = query.where(is_kind(kind))
    return query.order_by(ledger_txn.c.created_at.desc(), ledger_txn.c.id.desc())


def _of_customers(query: Select[Any]) -> Select[Any]:
    owner = ledger_entry.c.book == "customer:" + ledger_txn.c.account_id
    joined = query.select_from(ledger_txn).join(
        ledger_entry, (ledger_entry.c.txn_id == ledger_txn.c.id) & owner
    )
    return joined.where(not_captures())


def _narrow(query: Select[Any], hours: Range, account_id: str | None) -> Select[Any]:
    if account_id is not None:
        query = query.where(is_owner(account_id))
    return hours.narrow(query, ledger_txn.c.created_at)


def _sum_captures(connection: Connection, hours: Range, account_id: str | None) -> int:
    query = hours.narrow(select(func.sum(usage_rollup.c.cost_nanousd)), usage_rollup.c.hour)
    if account_id is not None:
        query = query.where(usage_rollup.c.account_id == account_id)
    return int(connection.execute(query).scalar_one() or 0)


def _movement(row: Row[Any]) -> Movement:
    return Movement(
        id=row.id,
        at=row.created_at,
        kind=row.kind,
        account_id=row.account_id,
        account=row.account,
        amount_nanousd=row.amount_nanousd,
        ref=row.ref,
        charge_id=row.charge_id,
        reason=row.reason,
    )
