"""What a closed account leaves behind: its money for ever, its digests and names for so many days."""

import asyncio

import pytest
from sqlalchemy import func, select

from shared.digests import digest_text
from vendor_api.admin.log import list_actions
from vendor_api.auth.repository import find_key, issue_key, record_use
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY
from vendor_api.db.tables import account_closure, metadata, purchase_lot
from vendor_api.ledger.accounts import create_account, find_account
from vendor_api.ledger.audit import audit
from vendor_api.ledger.capture import capture
from vendor_api.ledger.closing import Close, close_account, find_closure
from vendor_api.ledger.commands import Hold
from vendor_api.ledger.reservation import reserve
from vendor_api.retention import KEPT, Eraser, accounts_to_erase, erase_due


def change(shop, act):
    with shop.database.write() as connection:
        return act(connection, read_clock(connection))


def buy(shop, account_id, key, *names):
    def act(connection, now):
        hold = reserve(connection, now, shop.reserve(key, *names, account_id=account_id))
        assert isinstance(hold, Hold)
        capture(connection, now, hold, [True] * len(names))

    change(shop, act)


def count(shop, account_id):
    query = select(func.sum(purchase_lot.c["items"])).where(purchase_lot.c.account_id == account_id)
    with shop.database.read() as connection:
        return connection.execute(query).scalar_one() or 0


def close(shop, account_id, *, days_ago=0):
    """Close the account; the database's clock cannot be turned, so the closing is dated back."""
    change(shop, lambda c, now: close_account(c, now, Close(account_id, "asked for it")))
    statement = (
        account_closure.update()
        .where(account_closure.c.account_id == account_id)
        .values(closed_at=account_closure.c.closed_at - days_ago * DAY)
    )
    change(shop, lambda c, _now: c.execute(statement))


@pytest.fixture
def bob(shop):
    account = shop.open_account("bob", "1.00")
    for n in range(7):
        buy(shop, account.id, f"b{n}", f"picture {n}", f"cutting {n}")
    return account.id


def test_an_open_account_keeps_everything(shop, bob):
    assert erase_due(shop.database, days=0) == []
    assert count(shop, bob) == 14


def test_nothing_goes_before_its_time(shop, bob):
    close(shop, bob, days_ago=29)
    assert erase_due(shop.database, days=30) == []
    assert count(shop, bob) == 14


def test_digests_and_names_go_and_money_stays(shop, bob, pepper):
    key = change(shop, lambda c, now: issue_key(c, now, pepper, bob, name="bob's laptop"))
    change(shop, lambda c, now: record_use(c, now, [key.key_id]))
    buy(shop, shop.account.id, "a", "picture 1")
    close(shop, bob, days_ago=31)
    before = audit(shop.database)
    heard: list[int] = []
    (gone,) = erase_due(shop.database, days=30, slice_size=5, progress=heard.append)
    assert (gone.account_id, gone.purchases, gone.keys) == (bob, 14, 1)
    assert heard == [6, 6, 2, 0]
    assert (count(shop, bob), count(shop, shop.account.id)) == (0, 1)
    with shop.database.read() as connection:
        assert find_account(connection, bob).name == f"closed {bob}"
        stored = find_key(connection, key.key_id)
        assert stored is not None
        assert (stored.name, stored.secret_hmac, stored.last_used_at) == ("", b"", None)
        log = list_actions(connection, subject=bob)
        assert (log[-1].actor, log[-1].action) == ("retention", "account.erase")
        assert log[-1].detail == {"purchases": 14, "keys": 1}
        closure = find_closure(connection, bob)
        assert closure is not None
        assert closure.erased_at is not None
    after = audit(shop.database)
    assert after.ok, after.violations
    assert (before.charges, before.credited_nanousd) == (after.charges, after.credited_nanousd)
    assert erase_due(shop.database, days=30) == []


def test_the_name_is_free_for_somebody_else(shop, bob):
    close(shop, bob)
    erase_due(shop.database, days=0)
    assert change(shop, lambda c, now: create_account(c, now, "bob")).id != bob


def test_erasing_that_is_killed_goes_on_next_time(shop, bob):
    close(shop, bob)

    class Killed(Exception):
        pass

    def die(gone):
        raise Killed

    with pytest.raises(Killed):
        erase_due(shop.database, days=0, slice_size=5, progress=die)
    assert count(shop, bob) == 8
    with shop.database.read() as connection:
        assert find_account(connection, bob).name == "bob"
        (due,) = accounts_to_erase(connection, read_clock(connection), days=0)
    assert due.purchases == 8
    assert len(erase_due(shop.database, days=0)) == 1
    assert count(shop, bob) == 0


async def test_a_server_erases_at_once_and_again_at_its_interval(shop, bob):
    close(shop, bob)
    slept = []

    async def sleep(seconds):
        slept.append(seconds)
        await asyncio.Event().wait()

    eraser = Eraser(shop.database, days=0, interval_s=3600, sleep=sleep)
    task = asyncio.create_task(eraser.run())
    async with asyncio.timeout(30):
        while not slept:  # noqa: ASYNC110  (a thread sets no event)
            await asyncio.sleep(0.005)
    assert count(shop, bob) == 0
    assert slept == [3600]
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


def test_nothing_is_stored_that_is_not_stated():
    stated = [name for kept in KEPT for name in kept.tables]
    assert sorted(stated) == sorted(metadata.tables)


def test_a_digest_is_all_there_is_of_what_was_sent(shop, bob):
    with shop.database.read() as connection:
        row = connection.execute(select(purchase_lot).limit(1)).one()
    assert len(row.digests) == row.items * len(digest_text("x")) == row.items * 32
