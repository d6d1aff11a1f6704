"""Migrations build exactly the tables that the code writes, on both engines, up and down."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, inspect
from sqlalchemy.pool import NullPool

from shared.migrating import PendingMigrations, UnknownRevision, downgrade, pending, upgrade
from vendor_api.db import open_database
from vendor_api.db.tables import metadata
from vendor_api.ledger import Ledger


def table_names(url):
    engine = create_engine(url, poolclass=NullPool)
    return set(inspect(engine).get_table_names()) - {"alembic_version"}


def test_an_upgrade_creates_the_tables_the_code_knows(empty_database_url):
    assert pending("vendor", empty_database_url)
    upgrade("vendor", empty_database_url)
    assert not pending("vendor", empty_database_url)
    assert table_names(empty_database_url) == set(metadata.tables)
    with create_engine(empty_database_url, poolclass=NullPool).connect() as connection:
        here = connection.dialect.name

        def is_meant(part, _name, _kind, _reflected, _other):
            """Whether the part is for this engine; the comparison itself does not ask."""
            condition = getattr(part, "_ddl_if", None)
            return condition is None or condition.dialect == here

        options = {"compare_type": False, "include_object": is_meant}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, metadata) == []


def test_checks_and_triggers_are_created_too(empty_database_url):
    upgrade("vendor", empty_database_url)
    inspector = inspect(create_engine(empty_database_url, poolclass=NullPool))
    for name, table in metadata.tables.items():
        expected = {c.name for c in table.constraints if c.name and str(c.name).startswith("ck_")}
        assert {check["name"] for check in inspector.get_check_constraints(name)} == expected


def test_asking_whether_migrations_are_pending_creates_no_file(empty_sqlite_url):
    assert pending("vendor", empty_sqlite_url)
    assert not Path(empty_sqlite_url.removeprefix("sqlite:///")).exists()


def test_going_down_and_up_again_with_data(database, shop, vendor_database_url):
    database.close()
    downgrade("vendor", vendor_database_url, "base")
    assert table_names(vendor_database_url) == set()
    upgrade("vendor", vendor_database_url)
    assert table_names(vendor_database_url) == set(metadata.tables)


def test_an_upgrade_of_an_upgraded_database_keeps_its_data(shop, vendor_database_url):
    upgrade("vendor", vendor_database_url)
    with shop.database.read() as connection:
        assert connection.exec_driver_sql("SELECT COUNT(*) FROM account").scalar_one() == 1


def test_upgrades_at_the_same_time_wait_for_each_other(empty_database_url):
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: upgrade("vendor", empty_database_url), range(4)))
    assert not pending("vendor", empty_database_url)


def test_an_upgrade_makes_the_folder_of_a_new_file(tmp_path):
    url = f"sqlite:///{tmp_path}/deep/below/vendor.db"
    upgrade("vendor", url)
    assert not pending("vendor", url)


def test_pending_migration_is_refused_by_the_ledger(empty_database_url):
    with pytest.raises(PendingMigrations, match="vl2v-vendor migrate"):
        Ledger.open(empty_database_url)
    with pytest.raises(PendingMigrations):
        open_database(empty_database_url)


def test_a_database_of_a_newer_version_is_left_alone(vendor_database_url):
    engine = create_engine(vendor_database_url, poolclass=NullPool)
    with engine.begin() as connection:
        connection.exec_driver_sql("UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(UnknownRevision, match="newer version"):
        upgrade("vendor", vendor_database_url)
    with pytest.raises(PendingMigrations):
        open_database(vendor_database_url)
