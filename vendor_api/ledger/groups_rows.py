"""Writes what a group of commands decided: one statement for each table, many rows to a statement."""

from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from sqlalchemy import Connection, Dialect, bindparam, update
from sqlalchemy import insert as plain_insert
from sqlalchemy.dialects import postgresql, sqlite

from vendor_api.db.driver import Values, run
from vendor_api.db.tables import (
    account_balance,
    charge,
    ledger_entry,
    ledger_txn,
    usage_rollup,
)
from vendor_api.ledger import journal
from vendor_api.ledger.commands import LedgerError
from vendor_api.ledger.groups_plan import Plan, RollUp
from vendor_api.ledger.ids import new_id
from vendor_api.ledger.lots import write_lots

__all__ = ["write"]

_CLAIM = plain_insert(charge)
_FENCED = (
    update(charge)
    .where(charge.c.id == bindparam("charge_id"), charge.c.state == "held")
    .where(charge.c.epoch == bindparam("held_epoch"))
)
_TXN = plain_insert(ledger_txn)
_ENTRY = plain_insert(ledger_entry)
_BALANCE = (
    update(account_balance)
    .where(account_balance.c.account_id == bindparam("id"))
    .values(
        held_nanousd=account_balance.c.held_nanousd + bindparam("held"),
        debited_nanousd=account_balance.c.debited_nanousd + bindparam("debited"),
    )
)


def write(connection: Connection, plan: Plan) -> None:
    """Every row of the plan. Raises LedgerError when a fence is not where the books had it."""
    _execute(connection, _CLAIM, plan.claimed)
    for rows in (plan.captured, plan.released):
        if _execute(connection, _FENCED, rows) != len(rows):
            raise LedgerError("a charge changed under the lock of its account")
    write_lots(connection, plan.now, plan.lots)
    _record(connection, plan)
    _roll_up(connection, plan)
    changed = [
        {"id": account_id, "held": account.held_nanousd, "debited": account.debited_nanousd}
        for account_id, account in plan.books.accounts.items()
        if account.held_nanousd or account.debited_nanousd
    ]
    _execute(connection, _BALANCE, changed)


def _record(connection: Connection, plan: Plan) -> None:
    transactions, entries = [], []
    for known, cost in plan.earned:
        txn_id, account_id = new_id("txn"), known.account_id
        transactions.append(
            {
                "id": txn_id,
                "kind": "capture",
                "ref": known.id,
                "account_id": account_id,
                "created_at": plan.now,
            }
        )
        legs = (
            (journal.customer_book(account_id), -cost),
            (journal.revenue_book(known.model), cost),
        )
        entries += [
            {"txn_id": txn_id, "line": line, "book": book, "amount_nanousd": amount}
            for line, (book, amount) in enumerate(legs)
        ]
    _execute(connection, _TXN, transactions)
    _execute(connection, _ENTRY, entries)


def _roll_up(connection: Connection, plan: Plan) -> None:
    rows = [{**key._asdict(), **counts} for key, counts in plan.rolled_up.items()]
    _execute(connection, _rolling(connection.dialect.name), rows)


def _execute(connection: Connection, statement: Any, rows: Sequence[Mapping[str, Any]]) -> int:
    """Run a statement for each of rows with the same keys; how many rows of the table it touched.

    The driver gets the values as they are: they are text, bytes and integers, and passing each
    through the toolkit's conversions costs more than the database does.
    """
    if not rows:
        return 0
    text, names, fixed = _spell(statement, connection.dialect, tuple(rows[0]))
    whole = [{**fixed, **row} for row in rows]
    values: Sequence[Values] = (
        whole if names is None else [tuple(map(row.__getitem__, names)) for row in whole]
    )
    return run(connection, text, values)


@cache
def _spell(
    statement: Any, dialect: Dialect, keys: tuple[str, ...]
) -> tuple[str, Sequence[str] | None, Mapping[str, Any]]:
    """The statement's text, its parameters' order (None: by name), and its own constants."""
    compiled = statement.compile(dialect=dialect, column_keys=list(keys))
    fixed = {name: value for name, value in compiled.params.items() if name not in keys}
    return compiled.string, compiled.positiontup, fixed


@cache
def _rolling(dialect: str) -> Any:
    statement = (sqlite if dialect == "sqlite" else postgresql).insert(usage_rollup)
    sums = ("items", "items_free", "items_failed", "cost_nanousd")
    added = {name: usage_rollup.c[name] + statement.excluded[name] for name in sums}
    return statement.on_conflict_do_update(index_elements=list(RollUp._fields), set_=added)
