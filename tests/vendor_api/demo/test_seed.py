"""The made-up month: books that the auditor accepts, the same amounts for the same seed."""

from typing import Any

from sqlalchemy import text

from vendor_api.db.clock import DAY, HOUR
from vendor_api.demo.customers import CUSTOMERS, PEOPLE
from vendor_api.demo.seed import DAYS, plant
from vendor_api.ledger.audit import find_violations

ENDS_AT = 1_790_000_000_000_000
PEPPER = b"a pepper for tests, 32 bytes long"


def look(database: Any, query: str) -> list[tuple[Any, ...]]:
    with database.read() as connection:
        return [tuple(row) for row in connection.execute(text(query))]


def test_the_auditor_finds_nothing_and_every_page_has_something_to_show(database: Any) -> None:
    days: list[int] = []
    made = plant(database, PEPPER, charges=150, ends_at=ENDS_AT, on_day=days.append)
    with database.read() as connection:
        assert not list(find_violations(connection, ENDS_AT))
    assert days == list(range(DAYS + 1))[: len(days)]
    assert len(days) >= DAYS
    assert 100 < made <= 150
    states = dict(look(database, "SELECT state, COUNT(*) FROM charge GROUP BY state"))
    assert states["held"] == 3
    assert states["captured"] > 90
    ((refunds,),) = look(database, "SELECT COUNT(*) FROM ledger_txn WHERE kind = 'refund'")
    ((expired,),) = look(database, "SELECT COUNT(*) FROM ledger_txn WHERE kind = 'expire'")
    assert refunds == 4
    assert expired > 0
    assert look(database, "SELECT COUNT(*) FROM account WHERE status = 'frozen'") == [(1,)]
    assert look(database, "SELECT COUNT(*) FROM api_key WHERE revoked_at IS NOT NULL") == [(1,)]
    assert look(database, "SELECT COUNT(*) FROM person") == [(len(PEOPLE),)]
    ((first, last),) = look(database, "SELECT MIN(created_at), MAX(created_at) FROM charge")
    assert last - first > (DAYS - 3) * DAY
    failed = look(database, "SELECT SUM(items_failed), SUM(items_free) FROM usage_rollup")
    assert all(int(count) > 0 for count in failed[0])


def test_the_same_seed_sells_the_same(make_shop: Any, sqlite_url: str, tmp_path: Any) -> None:
    from shared.migrating import upgrade
    from vendor_api.db import open_database

    totals = []
    for n, seed in enumerate((7, 7, 8)):
        url = f"sqlite:///{tmp_path}/{n}.db"
        upgrade("vendor", url)
        database = open_database(url)
        plant(database, PEPPER, charges=40, seed=seed, ends_at=ENDS_AT)
        totals.append(
            look(
                database,
                "SELECT a.name, COUNT(*), SUM(c.images), SUM(c.texts), SUM(c.reserved_nanousd) "
                "FROM charge c JOIN account a ON a.id = c.account_id GROUP BY a.name ORDER BY 1",
            )
        )
        database.close()
    assert totals[0] == totals[1] != totals[2]
    assert {row[0] for row in totals[0]} <= {customer.name for customer in CUSTOMERS}


def test_nothing_lies_in_the_future(database: Any) -> None:
    plant(database, PEPPER, charges=30)
    assert look(database, "SELECT COUNT(*) FROM ledger_txn") != [(0,)]
    with database.read() as connection:
        from vendor_api.db import read_clock

        now = read_clock(connection)
    for table, column in (
        ("charge", "created_at"),
        ("ledger_txn", "created_at"),
        ("audit_log", "at"),
    ):
        ((latest,),) = look(database, f"SELECT MAX({column}) FROM {table}")
        assert latest <= now + HOUR // 60
