"""Books with private spaces and closed accounts survive 0005, the way back, and the way up again."""

import pytest
from sqlalchemy import create_engine, text
from sqlalchemy.pool import NullPool

from shared.migrating import downgrade, upgrade
from tests.vendor_api.db.test_upgrade_with_data import ADA, BOB, old_rows, require_right, run
from vendor_api.db import open_database, read_clock
from vendor_api.ledger.closing import Close, close_account, find_closure
from vendor_api.spaces import Spaces
from vendor_api.spaces.repository import find_space, write_space

SPACE = Spaces(b"p" * 32).name(ADA, 3)


def change(url, act):
    database = open_database(url)
    try:
        with database.write() as connection:
            return act(connection, read_clock(connection))
    finally:
        database.close()


@pytest.fixture
def older_url(empty_database_url):
    """A database of the version before, with data in it; Bob's account was closed by hand."""
    upgrade("vendor", empty_database_url, "0001")
    run(empty_database_url, *old_rows())
    upgrade("vendor", empty_database_url, "0002")
    run(empty_database_url, ("UPDATE account SET status = 'closed' WHERE id = :id", {"id": BOB}))
    return empty_database_url


def test_nobody_has_a_space_and_a_closing_is_to_be_finished(older_url):
    upgrade("vendor", older_url)
    assert change(older_url, lambda c, _now: find_space(c, ADA)) is None
    assert change(older_url, lambda c, _now: find_closure(c, BOB)) is None
    done = change(older_url, lambda c, now: close_account(c, now, Close(BOB, "asked", "wire 1")))
    assert done.refunded_nanousd == 700
    require_right(older_url)


def test_the_way_back_keeps_every_sum_and_forgets_the_spaces(older_url):
    upgrade("vendor", older_url)
    change(older_url, lambda c, now: write_space(c, now, SPACE, on=True))
    run(older_url, ("UPDATE charge SET state = 'expired' WHERE state = 'held'", {}))
    run(older_url, ("UPDATE account_balance SET held_nanousd = 0", {}))
    change(older_url, lambda c, now: close_account(c, now, Close(ADA, "asked", "wire 1")))
    before = require_right(older_url)
    downgrade("vendor", older_url, "0002")
    with create_engine(older_url, poolclass=NullPool).connect() as connection:
        status = connection.execute(text("SELECT DISTINCT status FROM account"))
        assert status.scalars().all() == ["closed"]
    upgrade("vendor", older_url)
    after = require_right(older_url)
    assert (before.debited_nanousd, before.credited_nanousd) == (5000, 5700)
    assert (after.debited_nanousd, after.credited_nanousd) == (5000, 5700)
    assert change(older_url, lambda c, _now: find_space(c, ADA)) is None
    closure = change(older_url, lambda c, _now: find_closure(c, ADA))
    now = change(older_url, lambda c, now: now)
    assert 0 <= now - closure.closed_at < 600_000_000  # erasing waits from the upgrade on
