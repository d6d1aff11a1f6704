"""Who edits the books, in the running database or in a copy of its file, is found out."""

import sqlite3

import pytest
from sqlalchemy import inspect
from sqlalchemy.exc import DBAPIError

from tests.vendor_api.ledger.till import Till
from vendor_api.db import open_database, sqlite_path
from vendor_api.ledger.audit import audit
from vendor_api.ledger.rollups import rebuild

JOURNAL = ("ledger_txn", "ledger_entry")
EDITS = {
    "amount": "UPDATE ledger_entry SET amount_nanousd = amount_nanousd + 1 WHERE line = 0",
    "both amounts": "UPDATE ledger_entry SET amount_nanousd = amount_nanousd * 2",
    "book": "UPDATE ledger_entry SET book = 'cash' WHERE book = 'breakage'",
    "cost": "UPDATE charge SET cost_nanousd = cost_nanousd - 1 WHERE state = 'captured'",
    "state": "UPDATE charge SET state = 'expired', captured_at = NULL WHERE state = 'captured'",
    "held state": "UPDATE charge SET state = 'released' WHERE state = 'held'",
    "refunded": "UPDATE charge SET refunded_nanousd = 0 WHERE refunded_nanousd > 0",
    "grant": "UPDATE credit_grant SET remaining_nanousd = 0",
    "balance": "UPDATE account_balance SET credited_nanousd = credited_nanousd + 1",
    "price": "UPDATE price_version SET unit_nanousd = unit_nanousd + 1",
    "window": "UPDATE cap_window SET used = 0",
    "roll-up": "UPDATE usage_rollup SET items = items + 1",
}


@pytest.fixture
def traded(shop, api_key):
    """Credit that expired in part, charges captured, refunded and held, under a cap."""
    till = Till(shop, api_key.key_id)
    till.credit(3, 60_000_000, kind="promo")
    till.cap("items", "ever", 50)
    till.now += 60_000_000
    till.credit(9)
    till.refund(till.buy("k1", "a", "b").charge_id, 50_000)
    till.reserve("k2", "c")
    till.require_right_books()
    return till


def unguard(connection, tables=JOURNAL):
    """What only the owner of the database can do."""
    for table in tables:
        if connection.dialect.name == "sqlite":
            for event in ("UPDATE", "DELETE"):
                connection.exec_driver_sql(f"DROP TRIGGER {table}_no_{event}")
        else:
            connection.exec_driver_sql(f"ALTER TABLE {table} DISABLE TRIGGER ALL")


def find_broken_rules(database):
    return {violation.rule for violation in audit(database).violations} - {"overdue holds"}


@pytest.mark.parametrize("table", [*JOURNAL, "audit_log"])
@pytest.mark.parametrize("change", ["UPDATE", "DELETE"])
def test_case_20_the_journal_cannot_be_changed(traded, table, change):
    if table == "audit_log":
        traded.run(
            lambda c: c.exec_driver_sql(
                "INSERT INTO audit_log VALUES ('log_1', 1, 'eve', 'key.create', 'key_1', '{}')"
            )
        )
    column = inspect(traded.shop.database.writing).get_columns(table)[-1]["name"]
    statement = {
        "UPDATE": f"UPDATE {table} SET {column} = {column}",
        "DELETE": f"DELETE FROM {table}",
    }
    with pytest.raises(DBAPIError, match="append-only"):
        traded.run(lambda c: c.exec_driver_sql(statement[change]))


@pytest.mark.parametrize("edit", EDITS)
def test_case_20_an_edited_row_is_found(traded, edit):
    traded.run(lambda c: (unguard(c), c.exec_driver_sql(EDITS[edit])))
    assert find_broken_rules(traded.shop.database)


@pytest.mark.parametrize(
    ("find", "replace"),
    [
        (b"breakage", b"breakagf"),
        (b"customer:acct_", b"customer:bcct_"),
        (b"revenue:icon-clip", b"revenue:icon-clap"),
        (b"0123456789abcdefcaptured", b"0123456789abcdefreleased"),
        (b"promo_expense", b"promo_expensf"),
    ],
)
def test_case_20_an_edited_byte_of_a_copied_file_is_found(traded, tmp_path, find, replace):
    source = sqlite_path(traded.shop.database.url.render_as_string(hide_password=False))
    if source is None:
        return  # PostgreSQL has no single file to copy; its rows are edited above
    copy = tmp_path / "copy.db"
    edit_copy(source, copy, find, replace)
    opened = open_database(f"sqlite:///{copy}")
    try:
        assert find_broken_rules(opened)
    finally:
        opened.close()


def edit_copy(source, copy, find, replace):
    """The file with its write-ahead log folded in, the last place of those bytes changed."""
    with sqlite3.connect(source) as original, sqlite3.connect(copy) as target:
        original.backup(target)
    original.close()
    target.close()
    content = copy.read_bytes()
    place = content.rindex(find)
    copy.write_bytes(content[:place] + replace + content[place + len(find) :])


def test_case_20_a_roll_up_edited_by_hand_is_found_and_made_again(traded):
    traded.run(lambda c: c.exec_driver_sql("UPDATE usage_rollup SET cost_nanousd = 1, items = 9"))
    assert find_broken_rules(traded.shop.database) == {"roll-ups"}
    (change,) = traded.run(lambda c: rebuild(c, dry_run=False))
    assert (change.was.items, change.becomes.items) == (9, 2)
    assert find_broken_rules(traded.shop.database) == set()
