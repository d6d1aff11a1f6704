"""What was bought survives 0006 and 0007, up and down; a purchase names a charge of its account."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from shared.migrating import downgrade, upgrade
from tests.vendor_api.db.test_upgrade_with_data import (
    ADA,
    BOB,
    CHARGE,
    charge,
    old_rows,
    require_right,
    run,
)
from vendor_api.db import open_database
from vendor_api.ledger.lots import Shelf, split
from vendor_api.ledger.shelves import Shelves

BUY = (
    "INSERT INTO purchase (account_id, revision, modality, digest, charge_id, bought_at)"
    " VALUES (:owner, :revision, :modality, :digest, :charge, :at)"
)
BUY_LOT = (
    "INSERT INTO purchase_lot"
    " (account_id, revision, modality, number, charge_id, bought_at, items, digests)"
    " VALUES (:owner, 'rev', 'image', :number, :charge, :at, :items, :digests)"
)
BOUGHT = (
    "SELECT account_id, revision, modality, digest, charge_id, bought_at FROM purchase"
    " ORDER BY account_id, revision, modality, digest"
)
LOTS = (
    "SELECT account_id, modality, number, charge_id, bought_at, items, digests FROM purchase_lot"
    " ORDER BY account_id, revision, modality, number"
)


def buy(owner, n, digest, *, modality="image", at=1):
    values = {"owner": owner, "revision": "rev", "modality": modality, "at": at}
    return BUY, {**values, "digest": digest, "charge": CHARGE.format(n)}


def buy_lot(owner, n, number, *digests, at=1):
    values = {"owner": owner, "number": number, "charge": CHARGE.format(n), "at": at}
    return BUY_LOT, {**values, "items": len(digests), "digests": b"".join(digests)}


def read(url, query):
    with create_engine(url, poolclass=NullPool).connect() as connection:
        rows = connection.execute(text(query)).all()
    return [tuple(bytes(x) if isinstance(x, memoryview) else x for x in row) for row in rows]


@pytest.fixture
def older_url(empty_database_url):
    """A database of the version before lots, with purchases of three charges in it."""
    upgrade("vendor", empty_database_url, "0001")
    run(empty_database_url, *old_rows(), *charge(4, ADA, "released", 1, 0))
    upgrade("vendor", empty_database_url, "0006")
    run(
        empty_database_url,
        buy(ADA, 1, b"dddd", at=5),
        buy(ADA, 1, b"aaaa", at=5),
        buy(ADA, 1, b"tttt", modality="text", at=5),
        buy(ADA, 3, b"bbbb", at=4),
        buy(ADA, 4, b"cc", at=9),
        buy(ADA, 4, b"cccc", at=9),
    )
    return empty_database_url


def test_the_items_of_a_charge_become_a_lot_oldest_first(older_url):
    upgrade("vendor", older_url)
    assert read(older_url, LOTS) == [
        (ADA, "image", 1, CHARGE.format(3), 4, 1, b"bbbb"),
        (ADA, "image", 2, CHARGE.format(1), 5, 2, b"aaaadddd"),
        (ADA, "image", 3, CHARGE.format(4), 9, 1, b"cc"),
        (ADA, "image", 4, CHARGE.format(4), 9, 1, b"cccc"),
        (ADA, "text", 1, CHARGE.format(1), 5, 1, b"tttt"),
    ]
    database = open_database(older_url)
    with database.read() as connection:
        wanted = [b"aaaa", b"bbbb", b"cc", b"xxxx"]
        found = Shelves().find(connection, Shelf(ADA, "rev", "image"), wanted)
    database.close()
    assert found == (4, {b"aaaa": 5, b"bbbb": 4, b"cc": 9})
    require_right(older_url)


def test_purchases_survive_the_way_up_and_down_and_up_again(older_url):
    before = read(older_url, BOUGHT)
    assert len(before) == 6
    upgrade("vendor", older_url)
    lots = read(older_url, LOTS)
    downgrade("vendor", older_url, "0006")
    assert read(older_url, BOUGHT) == before
    run(older_url, buy(ADA, 4, b"eeee", at=10))
    downgrade("vendor", older_url, "0005")
    upgrade("vendor", older_url)
    assert read(older_url, LOTS)[:4] == lots[:4]
    assert read(older_url, LOTS)[4] == (ADA, "image", 5, CHARGE.format(4), 10, 1, b"eeee")
    require_right(older_url)


def test_of_an_item_that_was_bought_again_the_way_down_keeps_the_last_purchase(older_url):
    upgrade("vendor", older_url)
    run(older_url, buy_lot(ADA, 4, 5, b"bbbb", b"ffff", at=20))
    downgrade("vendor", older_url, "0006")
    found = {row[3]: row[4:] for row in read(older_url, BOUGHT)}
    assert found[b"bbbb"] == found[b"ffff"] == (CHARGE.format(4), 20)
    assert found[b"aaaa"] == (CHARGE.format(1), 5)


def test_thousands_of_items_go_up_and_down(older_url):
    digests = [n.to_bytes(4, "big") for n in range(2500)]
    run(older_url, *(buy(ADA, 1 if n % 2 else 3, each, at=30) for n, each in enumerate(digests)))
    before = read(older_url, BOUGHT)
    upgrade("vendor", older_url)
    lots = [row for row in read(older_url, LOTS) if row[4] == 30]
    assert [row[5] for row in lots] == [1250, 1250]
    assert sorted(digest for row in lots for digest in split(row[6], row[5])) == digests
    downgrade("vendor", older_url, "0006")
    assert read(older_url, BOUGHT) == before


@pytest.mark.parametrize("revision", ["0005", "0006"])
def test_no_purchase_names_a_charge_that_is_not_there(
    database, shop, vendor_database_url, revision
):
    database.close()
    downgrade("vendor", vendor_database_url, revision)
    refuse(vendor_database_url, buy(shop.account.id, 9, b"x"))


def refuse(url, statement):
    with create_engine(url, poolclass=NullPool).connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        with pytest.raises(IntegrityError):
            connection.execute(text(statement[0]), statement[1])


def test_a_lot_names_a_charge_of_its_account(older_url):
    upgrade("vendor", older_url)
    refuse(older_url, buy_lot(ADA, 9, 7, b"xxxx"))
    refuse(older_url, buy_lot(BOB, 1, 1, b"xxxx"))
    refuse(older_url, ("UPDATE purchase_lot SET charge_id = 'chg_0'", {}))
    run(older_url, buy_lot(ADA, 1, 7, b"xxxx"))


@pytest.fixture
def postgres(empty_postgres_url):
    """0006 on PostgreSQL, where a trigger checks what a statement wrote; reached from above."""
    upgrade("vendor", empty_postgres_url, "0001")
    run(empty_postgres_url, *old_rows())
    upgrade("vendor", empty_postgres_url)
    downgrade("vendor", empty_postgres_url, "0006")
    return empty_postgres_url


def test_0006_a_charge_of_somebody_else_pays_for_no_purchase(postgres):
    with pytest.raises(IntegrityError, match="no charge of that account"):
        run(postgres, buy(BOB, 1, b"x"))
    run(postgres, buy(ADA, 1, b"x"))
    with pytest.raises(IntegrityError, match="no charge of that account"):
        run(postgres, ("UPDATE purchase SET charge_id = 'chg_0'", {}))


@pytest.mark.parametrize("change", ["DELETE FROM charge", "TRUNCATE charge CASCADE"])
def test_charges_are_not_deleted(empty_postgres_url, change):
    upgrade("vendor", empty_postgres_url, "0001")
    run(empty_postgres_url, *old_rows())
    upgrade("vendor", empty_postgres_url)
    with pytest.raises(DBAPIError, match="append-only"):
        run(empty_postgres_url, (change, {}))
