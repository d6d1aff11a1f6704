"""Checks the books against themselves: every rule over every row, read in one snapshot."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, text

from vendor_api.db import Database, read_clock
from vendor_api.db.clock import SECOND
from vendor_api.ledger.rules import RULES, Rule

OVERDUE_S = 60
"""A hold this long past its time means that nobody sweeps."""

__all__ = ["Audit", "Violation", "audit", "find_violations"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule and the row that breaks it."""

    rule: str
    subject: str
    detail: str
    account_id: str | None
    """Whose money it is about; None when the row's owner is not known."""


@dataclass(frozen=True, slots=True)
class Audit:
    """What the check found, with the totals it computed on the way."""

    at: int
    """The database's time, microseconds."""
    violations: tuple[Violation, ...]
    accounts: int
    charges: int
    captured: int
    credited_nanousd: int
    debited_nanousd: int
    held_nanousd: int
    revenue_nanousd: int

    @property
    def ok(self) -> bool:
        """Whether every rule holds."""
        return not self.violations


_TOTALS = text("""
SELECT (SELECT COUNT(*) FROM account) AS accounts,
  (SELECT COUNT(*) FROM charge) AS charges,
  (SELECT COUNT(*) FROM charge WHERE state = 'captured') AS captured,
  (SELECT COALESCE(SUM(credited_nanousd), 0) FROM account_balance) AS credited_nanousd,
  (SELECT COALESCE(SUM(debited_nanousd), 0) FROM account_balance) AS debited_nanousd,
  (SELECT COALESCE(SUM(held_nanousd), 0) FROM account_balance) AS held_nanousd,
  (SELECT COALESCE(SUM(amount_nanousd), 0) FROM ledger_entry WHERE book LIKE 'revenue:%')
    AS revenue_nanousd
""")


def audit(database: Database) -> Audit:
    """Every rule checked, every total computed, changing nothing."""
    with database.snapshot() as connection:
        now = read_clock(connection)
        violations = tuple(find_violations(connection, now))
        totals = connection.execute(_TOTALS).one()._mapping
        return Audit(now, violations, **{name: int(amount) for name, amount in totals.items()})


def find_violations(connection: Connection, now: int) -> Iterator[Violation]:
    """Every breach of every rule, as one connection sees the rows at `now`."""
    values = {"now": now, "grace": OVERDUE_S * SECOND}
    for rule in RULES:
        query = text(rule.write(connection.dialect.name))
        needed = {name: values[name] for name in query._bindparams}
        for row in connection.execute(query, needed):
            yield _violation(rule, row)


def _violation(rule: Rule, row: Row[Any]) -> Violation:
    detail = rule.sentence.format(found=row.found, expected=row.expected)
    return Violation(rule.name, str(row.subject), detail, row.account_id)
