"""Rows for a spreadsheet or a book-keeper: streamed, oldest first, under names that stay."""

from collections.abc import Iterator, Mapping
from typing import Any, Literal

from sqlalchemy import Column, ColumnElement, Connection, Row, Select, Table, select

from shared.money import format_usd
from vendor_api.db import format_instant
from vendor_api.db.tables import charge, credit_grant, ledger_entry, ledger_txn, usage_rollup
from vendor_api.ledger.credits import project

What = Literal["journal", "charges", "usage", "grants"]
Cell = str | int | None

PAGE = 1000
"""Rows fetched at a time."""

__all__ = ["COLUMNS", "What", "export_rows"]


def _pick(table: Table, *names: str) -> list[Column[Any]]:
    return [table.c[name] for name in names]


_JOURNAL = (
    select(
        ledger_txn.c.id.label("txn_id"),
        *_pick(ledger_txn, "created_at", "kind", "ref", "account_id", "charge_id", "reason"),
        *_pick(ledger_entry, "line", "book", "amount_nanousd"),
    )
    .join(ledger_entry, ledger_entry.c.txn_id == ledger_txn.c.id)
    .order_by(ledger_txn.c.created_at, ledger_txn.c.id, ledger_entry.c.line)
)
_CHARGES = select(
    *_pick(charge, "id", "account_id", "key_id", "idempotency_key", "request_id"),
    *_pick(charge, "model", "revision", "state", "images", "images_free", "texts", "texts_free"),
    *_pick(charge, "reserved_nanousd", "cost_nanousd", "refunded_nanousd"),
    *_pick(charge, "created_at", "captured_at"),
).order_by(charge.c.created_at, charge.c.id)
_USAGE = select(
    *_pick(usage_rollup, "hour", "account_id", "key_id", "model", "modality"),
    *_pick(usage_rollup, "items", "items_free", "items_failed", "cost_nanousd"),
).order_by(usage_rollup.c.hour, *usage_rollup.primary_key.columns)
_GRANTS = (
    select(
        *_pick(credit_grant, "id", "account_id", "txn_id"),
        *_pick(ledger_txn, "kind", "ref"),
        *_pick(credit_grant, "amount_nanousd", "remaining_nanousd", "granted_at", "expires_at"),
    )
    .join(ledger_txn, ledger_txn.c.id == credit_grant.c.txn_id)
    .order_by(credit_grant.c.granted_at, credit_grant.c.id)
)
_QUERIES: Mapping[What, tuple[Select[Any], ColumnElement[str], ColumnElement[int]]] = {
    "journal": (_JOURNAL, ledger_txn.c.account_id, ledger_txn.c.created_at),
    "charges": (_CHARGES, charge.c.account_id, charge.c.created_at),
    "usage": (_USAGE, usage_rollup.c.account_id, usage_rollup.c.hour),
    "grants": (_GRANTS, credit_grant.c.account_id, credit_grant.c.granted_at),
}
_INSTANTS = {"created_at", "captured_at", "hour", "granted_at", "expires_at"}

COLUMNS: Mapping[What, tuple[str, ...]] = {
    what: tuple(
        shown
        for name in [str(column.key) for column in query.selected_columns]
        for shown in ([name, name.replace("_nanousd", "_usd")] if "_nanousd" in name else [name])
    )
    for what, (query, _, _) in _QUERIES.items()
}
"""The names of the columns, in order: a file without a row still has a header."""


def export_rows(
    connection: Connection,
    what: What,
    *,
    account_id: str | None = None,
    since: int | None = None,
    until: int | None = None,
) -> Iterator[dict[str, Cell]]:
    """The rows from `since` up to, not including, `until` (microseconds; None: no bound).

    Each amount comes twice, as whole nano-dollars and as a decimal string of dollars; instants are
    ISO 8601 in UTC. `account_id` None means every account. Best over a snapshot. Raises ValueError
    for another `what`.
    """
    if what not in _QUERIES:
        raise ValueError(f"{what!r} cannot be exported: choose one of {', '.join(_QUERIES)}")
    query, owner, instant = _QUERIES[what]
    if account_id is not None:
        query = query.where(owner == account_id)
    if since is not None:
        query = query.where(instant >= since)
    if until is not None:
        query = query.where(instant < until)
    return _stream(connection, what, query, None if account_id is None else [account_id])


def _stream(
    connection: Connection, what: What, query: Select[Any], account_ids: list[str] | None
) -> Iterator[dict[str, Cell]]:
    # What is spent is drawn from the grants now and then only.
    left = project(connection, account_ids) if what == "grants" else {}
    for row in connection.execute(query, execution_options={"yield_per": PAGE}):
        yield _write(row, left)


def _write(row: Row[Any], left: Mapping[str, int]) -> dict[str, Cell]:
    cells: dict[str, Cell] = {}
    for name, cell in row._mapping.items():
        if name == "remaining_nanousd":
            cell = left.get(row.id, cell)  # noqa: PLW2901
        if name in _INSTANTS and cell is not None:
            cells[name] = format_instant(cell)
        else:
            cells[name] = cell
        if name.endswith("_nanousd"):
            cells[name.replace("_nanousd", "_usd")] = format_usd(cell)
    return cells
