"""A purchase names a charge that there is, whatever writes it; 0006 goes down and up with purchases."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.pool import NullPool

from shared.migrating import downgrade, upgrade
from tests.vendor_api.db.test_upgrade_with_data import (
    ADA,
    BOB,
    CHARGE,
    old_rows,
    require_right,
    run,
)

BUY = (
    "INSERT INTO purchase (account_id, revision, modality, digest, charge_id, bought_at)"
    " VALUES (:owner, 'rev', 'image', :digest, :charge, 1)"
)
BOUGHT = text("SELECT account_id, digest, charge_id, bought_at FROM purchase ORDER BY digest")


def buy(owner, n, digest):
    return BUY, {"owner": owner, "digest": digest, "charge": CHARGE.format(n)}


def read(url):
    with create_engine(url, poolclass=NullPool).connect() as connection:
        return [(row[0], bytes(row[1]), *row[2:]) for row in connection.execute(BOUGHT)]


@pytest.fixture
def older_url(empty_database_url):
    """A database of the version before, with purchases in it."""
    upgrade("vendor", empty_database_url, "0001")
    run(empty_database_url, *old_rows(), buy(ADA, 1, b"a"), buy(ADA, 1, b"b"))
    upgrade("vendor", empty_database_url, "0005")
    return empty_database_url


def test_purchases_survive_the_way_up_and_down_and_up_again(older_url):
    before = read(older_url)
    assert len(before) == 2
    upgrade("vendor", older_url)
    run(older_url, buy(ADA, 1, b"c"))
    downgrade("vendor", older_url, "0005")
    run(older_url, buy(ADA, 1, b"d"))
    upgrade("vendor", older_url)
    after = read(older_url)
    assert after[:2] == before
    assert [row[1] for row in after] == [b"a", b"b", b"c", b"d"]
    require_right(older_url)


@pytest.mark.parametrize("revision", ["0005", "0006"])
def test_no_purchase_names_a_charge_that_is_not_there(
    database, shop, vendor_database_url, revision
):
    database.close()
    downgrade("vendor", vendor_database_url, revision)
    url = vendor_database_url
    engine = create_engine(url, poolclass=NullPool)
    with engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys=ON")
        with pytest.raises(IntegrityError):
            connection.execute(text(BUY), buy(shop.account.id, 9, b"x")[1])


@pytest.fixture
def postgres(empty_postgres_url):
    """The newest version on PostgreSQL, where a trigger checks what a statement wrote."""
    upgrade("vendor", empty_postgres_url, "0001")
    run(empty_postgres_url, *old_rows())
    upgrade("vendor", empty_postgres_url)
    return empty_postgres_url


def test_a_charge_of_somebody_else_pays_for_no_purchase(postgres):
    with pytest.raises(IntegrityError, match="no charge of that account"):
        run(postgres, buy(BOB, 1, b"x"))
    run(postgres, buy(ADA, 1, b"x"))
    changes = (
        "UPDATE purchase SET charge_id = 'chg_0'",
        "UPDATE purchase SET account_id = 'nobody'",
    )
    for change in changes:
        with pytest.raises(IntegrityError, match="no charge of that account"):
            run(postgres, (change, {}))
    assert read(postgres) == [(ADA, b"x", CHARGE.format(1), 1)]


def test_one_stray_among_many_is_found(postgres):
    several = (
        "INSERT INTO purchase SELECT :owner, 'rev', 'image', int4send(n),"
        " CASE n WHEN 77 THEN :other ELSE :charge END, 1 FROM generate_series(1, 100) n"
    )
    values = {"owner": ADA, "charge": CHARGE.format(1), "other": CHARGE.format(99)}
    with pytest.raises(IntegrityError, match="no charge of that account"):
        run(postgres, (several, values))
    run(postgres, (several, {**values, "other": CHARGE.format(3)}))
    assert len(read(postgres)) == 100


@pytest.mark.parametrize("change", ["DELETE FROM charge", "TRUNCATE charge CASCADE"])
def test_charges_are_not_deleted(postgres, change):
    with pytest.raises(DBAPIError, match="append-only"):
        run(postgres, (change, {}))
