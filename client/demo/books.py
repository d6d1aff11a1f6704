"""Both sides' books, added up by plain SQL on their own databases and held against each other."""

import sqlite3
from dataclasses import dataclass
from pathlib import Path

VENDOR_SQL = """
SELECT COALESCE(SUM(cost_nanousd), 0), COALESCE(SUM(images - images_free), 0),
       COALESCE(SUM(texts - texts_free), 0), COUNT(*)
FROM charge WHERE state = 'captured'
"""
CLIENT_SQL = """
SELECT COALESCE(SUM(cost_nanousd), 0),
       COALESCE(SUM((SELECT COUNT(*) FROM journal_item i
                     WHERE i.journal_id = j.id AND i.error_code IS NULL AND j.modality = 'image')), 0),
       COALESCE(SUM((SELECT COUNT(*) FROM journal_item i
                     WHERE i.journal_id = j.id AND i.error_code IS NULL AND j.modality = 'text')), 0),
       COUNT(*)
FROM journal j WHERE state = 'settled'
"""
REVENUE_SQL = (
    "SELECT COALESCE(SUM(amount_nanousd), 0) FROM ledger_entry WHERE book LIKE 'revenue:%'"
)


@dataclass(frozen=True, slots=True)
class Totals:
    """What one side says was bought."""

    cost_nanousd: int
    images: int
    texts: int
    requests: int


@dataclass(frozen=True, slots=True)
class Books:
    """What the vendor charged, what the client paid, what the double entry says."""

    vendor: Totals
    client: Totals
    revenue_nanousd: int

    @property
    def agree(self) -> bool:
        """Whether all three come to the same nano-dollar and the same items."""
        return self.vendor == self.client and self.revenue_nanousd == self.client.cost_nanousd


def compare_books(vendor_file: Path, client_file: Path) -> Books:
    """Read both SQLite files; neither program has a hand in it."""
    vendor = Totals(*_query(vendor_file, VENDOR_SQL))
    client = Totals(*_query(client_file, CLIENT_SQL))
    return Books(vendor, client, _query(vendor_file, REVENUE_SQL)[0])


def _query(file: Path, sql: str) -> tuple[int, ...]:
    connection = sqlite3.connect(f"file:{file}?mode=ro", uri=True)
    try:
        row: tuple[int, ...] = connection.execute(sql).fetchone()
    finally:
        connection.close()
    return row
