"""Checks the books against themselves: every rule over every row, read in one snapshot."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, TextClause, text

from vendor_api.db import Database, read_clock
from vendor_api.db.clock import SECOND

OVERDUE_S = 60
"""A hold this long past its time means that nobody sweeps."""

__all__ = ["Audit", "Violation", "audit"]


@dataclass(frozen=True, slots=True)
class Violation:
    """One broken rule and the row that breaks it."""

    rule: str
    subject: str
    detail: str


@dataclass(frozen=True, slots=True)
class Audit:
    """What the check found, with the totals it computed on the way."""

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


@dataclass(frozen=True, slots=True)
class Rule:
    """A query that names each breach (subject, found, expected), and the sentence for it."""

    name: str
    query: TextClause
    sentence: str = "is {found}, the rows say {expected}"


_SUM_OF_BALANCES = """
SELECT b.account_id AS subject, b.{column} AS found, COALESCE(s.total, 0) AS expected
FROM account_balance b LEFT JOIN ({sums}) s ON s.account_id = b.account_id
WHERE b.{column} <> COALESCE(s.total, 0)
"""
_JOURNAL_SUMS = """
SELECT t.account_id, SUM({sign} e.amount_nanousd) AS total
FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id
WHERE e.book = 'customer:' || t.account_id AND {sign} e.amount_nanousd > 0
GROUP BY t.account_id
"""
_HELD_SUMS = """
SELECT account_id, SUM(reserved_nanousd) AS total FROM charge WHERE state = 'held'
GROUP BY account_id
"""
_CAPTURES = """
SELECT c.id AS subject, COUNT(DISTINCT t.id) AS found, 1 AS expected FROM charge c
LEFT JOIN ledger_txn t ON t.kind = 'capture' AND t.ref = c.id
WHERE c.state = 'captured' GROUP BY c.id HAVING COUNT(DISTINCT t.id) <> 1
"""
_ORPHANS = """
SELECT t.ref AS subject, t.id AS found, 'a captured charge' AS expected FROM ledger_txn t
LEFT JOIN charge c ON c.id = t.ref AND c.state = 'captured' AND c.account_id = t.account_id
WHERE t.kind = 'capture' AND c.id IS NULL
"""
_COSTS = """
SELECT c.id AS subject, c.cost_nanousd AS found, COALESCE(SUM(-e.amount_nanousd), 0) AS expected
FROM charge c LEFT JOIN ledger_txn t ON t.kind = 'capture' AND t.ref = c.id
LEFT JOIN ledger_entry e ON e.txn_id = t.id AND e.book = 'customer:' || c.account_id
WHERE c.state = 'captured' GROUP BY c.id, c.cost_nanousd
HAVING c.cost_nanousd <> COALESCE(SUM(-e.amount_nanousd), 0)
"""
_PRICES = """
SELECT c.id AS subject, c.cost_nanousd AS found,
  (c.images - c.images_free) * COALESCE(i.unit_nanousd, 0)
  + (c.texts - c.texts_free) * COALESCE(t.unit_nanousd, 0) AS expected
FROM charge c LEFT JOIN price_version i ON i.id = c.image_price_id
LEFT JOIN price_version t ON t.id = c.text_price_id
WHERE c.state = 'captured' AND c.cost_nanousd <>
  (c.images - c.images_free) * COALESCE(i.unit_nanousd, 0)
  + (c.texts - c.texts_free) * COALESCE(t.unit_nanousd, 0)
"""
_ZERO_SUM = """
SELECT t.id AS subject, COALESCE(SUM(e.amount_nanousd), 0) AS found, COUNT(e.line) AS expected
FROM ledger_txn t LEFT JOIN ledger_entry e ON e.txn_id = t.id
GROUP BY t.id HAVING COALESCE(SUM(e.amount_nanousd), 0) <> 0 OR COUNT(e.line) < 2
"""
_ROLL_UPS = """
SELECT account_id || ' ' || hour || ' ' || key_id || ' ' || model || ' ' || measure AS subject,
  SUM(rolled) AS found, SUM(journal) AS expected FROM (
  SELECT account_id, hour, key_id, model, 'cost' AS measure, cost_nanousd AS rolled, 0 AS journal
  FROM usage_rollup
  UNION ALL SELECT c.account_id, t.created_at - t.created_at % 3600000000, c.key_id, c.model,
  'cost', 0, -e.amount_nanousd FROM ledger_txn t JOIN charge c ON c.id = t.ref
  JOIN ledger_entry e ON e.txn_id = t.id AND e.book = 'customer:' || t.account_id
  WHERE t.kind = 'capture'
  UNION ALL SELECT account_id, hour, key_id, model, modality, items, 0 FROM usage_rollup
  UNION ALL SELECT account_id, captured_at - captured_at % 3600000000, key_id, model,
  'image', 0, images - images_free FROM charge WHERE state = 'captured'
  UNION ALL SELECT account_id, captured_at - captured_at % 3600000000, key_id, model,
  'text', 0, texts - texts_free FROM charge WHERE state = 'captured'
) both_sides GROUP BY account_id, hour, key_id, model, measure
HAVING SUM(rolled) <> SUM(journal)
"""
_OVERDUE = """
SELECT id AS subject, expires_at AS found, :now AS expected FROM charge
WHERE state = 'held' AND expires_at < :now - :grace
"""
_NEGATIVE = """
SELECT account_id AS subject, held_nanousd AS found,
  credited_nanousd + credit_limit_nanousd - debited_nanousd AS expected FROM account_balance
WHERE held_nanousd < 0
  OR credited_nanousd + credit_limit_nanousd - debited_nanousd - held_nanousd < 0
"""
_NO_BALANCE = """
SELECT a.id AS subject, 0 AS found, 1 AS expected FROM account a
LEFT JOIN account_balance b ON b.account_id = a.id WHERE b.account_id IS NULL
"""


def _sums(column: str, sums: str) -> TextClause:
    return text(_SUM_OF_BALANCES.format(column=column, sums=sums))  # only this module's own text


RULES: Sequence[Rule] = (
    Rule("held", _sums("held_nanousd", _HELD_SUMS)),
    Rule("credited", _sums("credited_nanousd", _JOURNAL_SUMS.format(sign=""))),
    Rule("debited", _sums("debited_nanousd", _JOURNAL_SUMS.format(sign="-"))),
    Rule("one transaction a capture", text(_CAPTURES), "has {found} transactions"),
    Rule("no transaction without a capture", text(_ORPHANS), "has only the transaction {found}"),
    Rule("cost", text(_COSTS), "cost {found}, its transaction says {expected}"),
    Rule("price", text(_PRICES), "cost {found}, items times their price is {expected}"),
    Rule("zero sum", text(_ZERO_SUM), "sums to {found} over {expected} entries"),
    Rule("roll-ups", text(_ROLL_UPS), "is {found}, the journal says {expected}"),
    Rule("overdue holds", text(_OVERDUE), "expired at {found} and is still held at {expected}"),
    Rule("available", text(_NEGATIVE), "holds {found} of {expected}"),
    Rule("balance row", text(_NO_BALANCE), "has no balance"),
)

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
        violations = tuple(_breaches(connection))
        totals = connection.execute(_TOTALS).one()._mapping
        return Audit(violations, **{name: int(amount) for name, amount in totals.items()})


def _breaches(connection: Connection) -> Iterator[Violation]:
    values = {"now": read_clock(connection), "grace": OVERDUE_S * SECOND}
    for rule in RULES:
        needed = {name: values[name] for name in rule.query._bindparams}
        for row in connection.execute(rule.query, needed):
            yield _violation(rule, row)


def _violation(rule: Rule, row: Row[Any]) -> Violation:
    detail = rule.sentence.format(found=row.found, expected=row.expected)
    return Violation(rule.name, str(row.subject), detail)
