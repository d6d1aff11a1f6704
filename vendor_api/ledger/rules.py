"""What must be true of the books: each rule a query that names every breach of it.

A breach is a row of subject, account_id, found, expected.
"""

from collections.abc import Sequence
from dataclasses import dataclass

OVERDUE = "overdue holds"
"""Only late, not wrong: nobody sweeps."""

__all__ = ["OVERDUE", "RULES", "Rule"]


@dataclass(frozen=True, slots=True)
class Rule:
    """A query that names each breach, and the sentence for it."""

    name: str
    query: str
    sentence: str = "is {found}, the rows say {expected}"

    def write(self, dialect: str) -> str:
        """The query as the engine reads it."""
        return self.query.replace("{remembered}", _REMEMBERED[dialect])


_SUM_OF_BALANCES = """
SELECT b.account_id AS subject, b.account_id, b.{column} AS found, COALESCE(s.total, 0) AS expected
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
SELECT c.id AS subject, c.account_id, COUNT(DISTINCT t.id) AS found, 1 AS expected FROM charge c
LEFT JOIN ledger_txn t ON t.kind = 'capture' AND t.ref = c.id
WHERE c.state = 'captured' GROUP BY c.id, c.account_id HAVING COUNT(DISTINCT t.id) <> 1
"""
_ORPHANS = """
SELECT t.ref AS subject, t.account_id, t.id AS found, 'a captured charge' AS expected FROM ledger_txn t
LEFT JOIN charge c ON c.id = t.ref AND c.state = 'captured' AND c.account_id = t.account_id
WHERE t.kind = 'capture' AND c.id IS NULL
"""
_COSTS = """
SELECT c.id AS subject, c.account_id, c.cost_nanousd AS found,
  COALESCE(SUM(-e.amount_nanousd), 0) AS expected
FROM charge c LEFT JOIN ledger_txn t ON t.kind = 'capture' AND t.ref = c.id
LEFT JOIN ledger_entry e ON e.txn_id = t.id AND e.book = 'customer:' || c.account_id
WHERE c.state = 'captured' GROUP BY c.id, c.account_id, c.cost_nanousd
HAVING c.cost_nanousd <> COALESCE(SUM(-e.amount_nanousd), 0)
"""
_PRICES = """
SELECT c.id AS subject, c.account_id, c.cost_nanousd AS found,
  (c.images - c.images_free) * COALESCE(i.unit_nanousd, 0)
  + (c.texts - c.texts_free) * COALESCE(t.unit_nanousd, 0) AS expected
FROM charge c LEFT JOIN price_version i ON i.id = c.image_price_id
LEFT JOIN price_version t ON t.id = c.text_price_id
WHERE c.state = 'captured' AND c.cost_nanousd <>
  (c.images - c.images_free) * COALESCE(i.unit_nanousd, 0)
  + (c.texts - c.texts_free) * COALESCE(t.unit_nanousd, 0)
"""
_ZERO_SUM = """
SELECT t.id AS subject, t.account_id, COALESCE(SUM(e.amount_nanousd), 0) AS found,
  COUNT(e.line) AS expected
FROM ledger_txn t LEFT JOIN ledger_entry e ON e.txn_id = t.id
GROUP BY t.id, t.account_id HAVING COALESCE(SUM(e.amount_nanousd), 0) <> 0 OR COUNT(e.line) < 2
"""
_ROLL_UPS = """
SELECT account_id || ' ' || hour || ' ' || key_id || ' ' || model || ' ' || measure AS subject,
  account_id, SUM(rolled) AS found, SUM(journal) AS expected FROM (
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
_HELD_PRICES = """
SELECT c.id AS subject, c.account_id, c.reserved_nanousd AS found,
  c.images * COALESCE(i.unit_nanousd, 0) + c.texts * COALESCE(t.unit_nanousd, 0) AS expected
FROM charge c LEFT JOIN price_version i ON i.id = c.image_price_id
LEFT JOIN price_version t ON t.id = c.text_price_id
WHERE c.state = 'held' AND c.reserved_nanousd <>
  c.images * COALESCE(i.unit_nanousd, 0) + c.texts * COALESCE(t.unit_nanousd, 0)
"""
_BOOKS = """
SELECT t.id AS subject, t.account_id, t.kind AS found, 2 AS expected FROM ledger_txn t
LEFT JOIN charge c ON c.id = CASE t.kind WHEN 'capture' THEN t.ref ELSE t.charge_id END
LEFT JOIN ledger_entry e ON e.txn_id = t.id
GROUP BY t.id, t.account_id, t.kind
HAVING COUNT(e.line) <> 2
OR SUM(CASE WHEN e.book = 'customer:' || t.account_id AND CASE t.kind
  WHEN 'capture' THEN e.amount_nanousd <= 0 WHEN 'expire' THEN e.amount_nanousd < 0
  WHEN 'adjust' THEN e.amount_nanousd <> 0 ELSE e.amount_nanousd > 0 END
  THEN 1 ELSE 0 END) <> 1
OR SUM(CASE WHEN e.book = CASE t.kind WHEN 'credit' THEN 'cash' WHEN 'promo' THEN 'promo_expense'
  WHEN 'expire' THEN 'breakage' WHEN 'adjust' THEN 'adjustments' ELSE 'revenue:' || c.model END
  THEN 1 ELSE 0 END) <> 1
"""
_DRAWN = """
SELECT b.account_id AS subject, b.account_id, b.credited_nanousd - b.drawn_nanousd AS found,
  COALESCE(g.total, 0) AS expected FROM account_balance b LEFT JOIN (
  SELECT account_id, SUM(remaining_nanousd) AS total FROM credit_grant GROUP BY account_id
) g ON g.account_id = b.account_id
WHERE b.credited_nanousd - b.drawn_nanousd <> COALESCE(g.total, 0)
"""
_GRANTS = """
SELECT t.id AS subject, t.account_id, COALESCE(g.amount_nanousd, 0) AS found,
  e.amount_nanousd AS expected
FROM ledger_txn t JOIN ledger_entry e ON e.txn_id = t.id AND e.book = 'customer:' || t.account_id
LEFT JOIN credit_grant g ON g.txn_id = t.id AND g.account_id = t.account_id
WHERE (e.amount_nanousd > 0 AND COALESCE(g.amount_nanousd, 0) <> e.amount_nanousd)
OR (e.amount_nanousd <= 0 AND g.id IS NOT NULL)
"""
_NEXT_EXPIRY = """
SELECT b.account_id AS subject, b.account_id, b.next_expiry_at AS found,
  MIN(g.expires_at) AS expected
FROM account_balance b JOIN credit_grant g ON g.account_id = b.account_id
WHERE g.remaining_nanousd > 0 AND g.expires_at IS NOT NULL
GROUP BY b.account_id, b.next_expiry_at
HAVING b.next_expiry_at IS NULL OR b.next_expiry_at > MIN(g.expires_at)
"""
_REFUNDS = """
SELECT c.id AS subject, c.account_id, c.refunded_nanousd AS found,
  COALESCE(SUM(e.amount_nanousd), 0) AS expected
FROM charge c LEFT JOIN ledger_txn t ON t.kind = 'refund' AND t.charge_id = c.id
LEFT JOIN ledger_entry e ON e.txn_id = t.id AND e.book = 'customer:' || c.account_id
WHERE c.refunded_nanousd <> 0 OR t.id IS NOT NULL
GROUP BY c.id, c.account_id, c.refunded_nanousd, c.cost_nanousd
HAVING c.refunded_nanousd <> COALESCE(SUM(e.amount_nanousd), 0)
OR c.refunded_nanousd > c.cost_nanousd
"""
_EXPIRIES = """
SELECT t.id AS subject, t.account_id, t.ref AS found, 'a grant' AS expected FROM ledger_txn t
LEFT JOIN credit_grant g ON g.id = substr(t.ref, 1, 36) AND g.account_id = t.account_id
WHERE t.kind = 'expire' AND g.id IS NULL
"""
_CAPS = """
SELECT s.key_id || ' ' || s.kind || ' ' || s.span || ' ' || s.starts_at || ' ' || s.measure
  AS subject, k.account_id, SUM(s.counted) AS found, SUM(s.remembered) AS expected FROM (
  SELECT key_id, kind, "window" AS span, starts_at, 'held' AS measure, held AS counted,
  0 AS remembered FROM cap_window
  UNION ALL SELECT key_id, kind, "window", starts_at, 'used', used, 0 FROM cap_window
  UNION ALL SELECT key_id, kind, span, starts_at,
  CASE state WHEN 'held' THEN 'held' ELSE 'used' END, 0, amount FROM ({remembered}) r
) s LEFT JOIN api_key k ON k.id = s.key_id
GROUP BY s.key_id, s.kind, s.span, s.starts_at, s.measure, k.account_id
HAVING SUM(s.counted) <> SUM(s.remembered)
"""
_REMEMBERED = {
    "sqlite": """
SELECT c.key_id, c.state, json_extract(j.value, '$[0]') AS kind,
  json_extract(j.value, '$[1]') AS span, json_extract(j.value, '$[2]') AS starts_at,
  json_extract(j.value, '$[3]') AS amount
FROM charge c, json_each(c.caps) j WHERE c.caps IS NOT NULL AND c.state IN ('held', 'captured')
""",
    "postgresql": """
SELECT c.key_id, c.state, j.value ->> 0 AS kind, j.value ->> 1 AS span,
  CAST(j.value ->> 2 AS BIGINT) AS starts_at, CAST(j.value ->> 3 AS BIGINT) AS amount
FROM charge c CROSS JOIN LATERAL jsonb_array_elements(CAST(c.caps AS JSONB)) j
WHERE c.caps IS NOT NULL AND c.state IN ('held', 'captured')
""",
}
_OVERDUE = """
SELECT id AS subject, account_id, expires_at AS found, :now AS expected FROM charge
WHERE state = 'held' AND expires_at < :now - :grace
"""
_NEGATIVE = """
SELECT account_id AS subject, account_id, held_nanousd AS found,
  credited_nanousd + credit_limit_nanousd - debited_nanousd AS expected FROM account_balance
WHERE held_nanousd < 0
  OR credited_nanousd + credit_limit_nanousd - debited_nanousd - held_nanousd < 0
"""
_NO_BALANCE = """
SELECT a.id AS subject, a.id AS account_id, 0 AS found, 1 AS expected FROM account a
LEFT JOIN account_balance b ON b.account_id = a.id WHERE b.account_id IS NULL
"""


def _sums(column: str, sums: str) -> str:
    return _SUM_OF_BALANCES.format(column=column, sums=sums)  # only this module's own text


RULES: Sequence[Rule] = (
    Rule("held", _sums("held_nanousd", _HELD_SUMS)),
    Rule("credited", _sums("credited_nanousd", _JOURNAL_SUMS.format(sign=""))),
    Rule("debited", _sums("debited_nanousd", _JOURNAL_SUMS.format(sign="-"))),
    Rule("drawn", _DRAWN, "has {found} undrawn, its grants have {expected} left"),
    Rule("one transaction a capture", _CAPTURES, "has {found} transactions"),
    Rule("no transaction without a capture", _ORPHANS, "has only the transaction {found}"),
    Rule("cost", _COSTS, "cost {found}, its transaction says {expected}"),
    Rule("price", _PRICES, "cost {found}, items times their price is {expected}"),
    Rule("price of a hold", _HELD_PRICES, "holds {found}, items times their price is {expected}"),
    Rule("refunds", _REFUNDS, "was refunded {found}, its transactions say {expected}"),
    Rule("zero sum", _ZERO_SUM, "sums to {found} over {expected} entries"),
    Rule("books", _BOOKS, "is a {found} without the {expected} books of one"),
    Rule("grants", _GRANTS, "opened a grant of {found}, its entry says {expected}"),
    Rule("expiries", _EXPIRIES, "expires {found}, which is no grant of the account"),
    Rule("next expiry", _NEXT_EXPIRY, "waits until {found}, credit expires at {expected}"),
    Rule("caps", _CAPS, "is {found}, the charges say {expected}"),
    Rule("roll-ups", _ROLL_UPS, "is {found}, the journal says {expected}"),
    Rule(OVERDUE, _OVERDUE, "expired at {found} and is still held at {expected}"),
    Rule("available", _NEGATIVE, "holds {found} of {expected}"),
    Rule("balance row", _NO_BALANCE, "has no balance"),
)
