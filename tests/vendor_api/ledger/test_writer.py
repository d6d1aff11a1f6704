"""Group commits: what one command does, what happens to its neighbours, and how it all ends."""

import asyncio
import sqlite3
from threading import Event

import pytest

from tests.vendor_api.ledger.till import PRICE, capture_all
from vendor_api.ledger import Ledger
from vendor_api.ledger.commands import (
    Hold,
    InsufficientCredit,
    LedgerUnavailable,
    RequestInFlight,
)
from vendor_api.ledger.shelves import Shelves
from vendor_api.ledger.writer import Writer


class Blocker:
    """Another process that is writing to the SQLite file."""

    def __init__(self, url):
        self._connection = sqlite3.connect(
            url.removeprefix("sqlite:///"), isolation_level=None, check_same_thread=False
        )

    def __enter__(self):
        self._connection.execute("BEGIN IMMEDIATE")
        return self

    def __exit__(self, *_):
        self._connection.execute("ROLLBACK")
        self._connection.close()


@pytest.fixture
def sqlite_shop(make_shop, sqlite_url):
    return make_shop(sqlite_url)


@pytest.fixture
async def sqlite_ledger(sqlite_shop, sqlite_url):
    opened = Ledger.open(sqlite_url)
    yield opened
    await opened.close()


async def queue(ledger, *calls):
    """Start the calls so that they are queued behind a busy database, in order."""
    tasks = [asyncio.ensure_future(call) for call in calls]
    await asyncio.sleep(0)
    return tasks


async def test_what_is_queued_together_is_committed_together(
    sqlite_ledger, sqlite_shop, sqlite_url
):
    with Blocker(sqlite_url):
        tasks = await queue(
            sqlite_ledger,
            *(sqlite_ledger.reserve(sqlite_shop.reserve(f"k{n}", "a")) for n in range(9)),
        )
    await asyncio.gather(*tasks)
    charges = (await sqlite_ledger.charges(sqlite_shop.account.id)).data
    # The first may have been taken alone, before the others came.
    assert len({charge.created_at for charge in charges}) <= 2


async def test_every_commit_is_reported_with_the_commands_in_it(sqlite_shop, sqlite_url):
    commits = []
    ledger = Ledger.open(sqlite_url, on_commit=lambda *report: commits.append(report))
    with Blocker(sqlite_url):
        tasks = await queue(
            ledger, *(ledger.reserve(sqlite_shop.reserve(f"k{n}", "a")) for n in range(9))
        )
    await asyncio.gather(*tasks)
    await ledger.close()
    assert sum(jobs for jobs, _ in commits) == 9
    assert len(commits) <= 2
    assert all(seconds > 0 for _, seconds in commits)


async def test_a_group_holds_no_more_than_its_limit(sqlite_shop, sqlite_url):
    sizes = []
    ledger = Ledger.open(sqlite_url, group_limit=2, on_commit=lambda jobs, _: sizes.append(jobs))
    with Blocker(sqlite_url):
        tasks = await queue(
            ledger, *(ledger.reserve(sqlite_shop.reserve(f"k{n}", "a")) for n in range(9))
        )
    await asyncio.gather(*tasks)
    await ledger.close()
    assert sum(sizes) == 9
    assert max(sizes) == 2


async def test_a_commit_that_failed_is_not_reported(sqlite_shop, sqlite_url):
    commits = []
    ledger = Ledger.open(
        sqlite_url, busy_timeout_s=0.05, on_commit=lambda *report: commits.append(report)
    )
    try:
        with Blocker(sqlite_url), pytest.raises(LedgerUnavailable):
            await ledger.reserve(sqlite_shop.reserve("k", "a"))
        assert commits == []
    finally:
        await ledger.close()


async def test_a_refused_command_harms_no_neighbour(sqlite_ledger, sqlite_shop, sqlite_url):
    dear = sqlite_shop.reserve("dear", *map(str, range(10_001)))
    with Blocker(sqlite_url):
        tasks = await queue(
            sqlite_ledger,
            sqlite_ledger.reserve(sqlite_shop.reserve("first", "a")),
            sqlite_ledger.reserve(sqlite_shop.reserve("before", "a")),
            sqlite_ledger.reserve(dear),
            sqlite_ledger.reserve(sqlite_shop.reserve("before", "a")),
            sqlite_ledger.reserve(sqlite_shop.reserve("after", "b")),
        )
    outcomes = await asyncio.gather(*tasks, return_exceptions=True)
    kinds = [type(outcome) for outcome in outcomes]
    assert kinds == [Hold, Hold, InsufficientCredit, RequestInFlight, Hold]
    assert (await sqlite_ledger.balance(sqlite_shop.account.id)).held_usd == "0.000300000"
    assert (await sqlite_ledger.verify()).ok


async def test_a_caller_that_is_cancelled_holds_nothing(sqlite_ledger, sqlite_shop, sqlite_url):
    with Blocker(sqlite_url):
        (task,) = await queue(sqlite_ledger, sqlite_ledger.reserve(sqlite_shop.reserve("k", "a")))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
    # The first is queued behind the reservation, the second behind its release.
    await sqlite_ledger.credit(sqlite_shop.account.id, 1, "one")
    await sqlite_ledger.credit(sqlite_shop.account.id, 1, "two")
    (charge,) = (await sqlite_ledger.charges(sqlite_shop.account.id)).data
    assert charge.state == "released"
    assert (await sqlite_ledger.balance(sqlite_shop.account.id)).held_usd == "0.000000000"


async def test_a_cancelled_capture_is_still_committed(sqlite_ledger, sqlite_shop, sqlite_url):
    hold = await sqlite_ledger.reserve(sqlite_shop.reserve("k", "a"))
    with Blocker(sqlite_url):
        (task,) = await queue(sqlite_ledger, sqlite_ledger.capture(hold, [True]))
        task.cancel()
    await sqlite_ledger.credit(sqlite_shop.account.id, 1, "one")
    (charge,) = (await sqlite_ledger.charges(sqlite_shop.account.id)).data
    assert charge.state == "captured"


async def test_closing_finishes_what_is_queued(sqlite_shop, sqlite_url):
    ledger = Ledger.open(sqlite_url)
    with Blocker(sqlite_url):
        tasks = await queue(
            ledger, *(ledger.reserve(sqlite_shop.reserve(f"k{n}", "a")) for n in range(5))
        )
        closing = asyncio.ensure_future(ledger.close())
        await asyncio.sleep(0)
    await closing
    assert all(isinstance(hold, Hold) for hold in await asyncio.gather(*tasks))


async def test_a_closed_ledger_is_unavailable_and_may_be_closed_again(sqlite_shop, sqlite_url):
    ledger = Ledger.open(sqlite_url)
    await ledger.close()
    await ledger.close()
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.reserve(sqlite_shop.reserve("k", "a"))
    with pytest.raises(LedgerUnavailable, match="closed"):
        await ledger.ping()


async def test_a_database_that_stays_locked_is_unavailable_then_well_again(sqlite_shop, sqlite_url):
    ledger = Ledger.open(sqlite_url, busy_timeout_s=0.05)
    command = sqlite_shop.reserve("k", "a")
    try:
        with Blocker(sqlite_url), pytest.raises(LedgerUnavailable):
            await ledger.reserve(command)
        await ledger.ping()
        assert isinstance(await ledger.reserve(command), Hold)
    finally:
        await ledger.close()


def test_a_locked_database_is_not_opened_and_leaves_no_thread(sqlite_shop, sqlite_url):
    overdue = sqlite_shop.reserve("k", "a", hold_seconds=0)
    asyncio.run(_reserve_once(sqlite_url, overdue))
    with Blocker(sqlite_url), pytest.raises(LedgerUnavailable):
        Ledger.open(sqlite_url, busy_timeout_s=0.05)


async def _reserve_once(url, command):
    ledger = Ledger.open(url)
    await ledger.reserve(command)
    await ledger.close()


async def test_lost_connections_are_replaced(make_shop, postgres_url):
    shop = make_shop(postgres_url)
    ledger = Ledger.open(postgres_url)
    try:
        await ledger.reserve(shop.reserve("before", "a"))
        with shop.database.write() as connection:
            connection.exec_driver_sql(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert isinstance(await ledger.reserve(shop.reserve("after", "a")), Hold)
        await ledger.ping()
    finally:
        await ledger.close()


async def test_a_row_that_stays_locked_is_unavailable(make_shop, postgres_url):
    shop = make_shop(postgres_url)
    ledger = Ledger.open(postgres_url)
    try:
        with shop.database.write() as connection:
            connection.exec_driver_sql("SET LOCAL idle_in_transaction_session_timeout = 0")
            connection.exec_driver_sql("SELECT * FROM account_balance FOR UPDATE")
            with pytest.raises(LedgerUnavailable):
                await ledger.reserve(shop.reserve("k", "a"))
        assert isinstance(await ledger.reserve(shop.reserve("k", "a")), Hold)
    finally:
        await ledger.close()


async def test_reading_a_database_without_tables_is_unavailable(sqlite_ledger, sqlite_shop):
    with sqlite_shop.database.write() as connection:
        connection.exec_driver_sql("DROP TABLE usage_rollup")
    with pytest.raises(LedgerUnavailable):
        await sqlite_ledger.verify()


@pytest.fixture
def write(shop):
    """Has a writer do the tasks for the shop, one after the other, with this memory of purchases."""

    def write_all(shelves, *tasks):
        writer = Writer(shop.database, shelves=shelves)
        try:
            return [writer.submit(shop.account.id, task).result(10) for task in tasks]
        finally:
            writer.close()

    return write_all


def test_a_memory_that_fails_after_the_commit_takes_nothing_back(shop, write):
    class Failing(Shelves):
        def learn(self, lots):
            raise MemoryError

    shelves = Failing()
    for key, cost in (("k0", PRICE), ("k1", 0)):  # the same item, so the second time it is free
        (hold,) = write(shelves, shop.reserve(key, "a"))
        (receipt,) = write(shelves, capture_all(hold))
        assert receipt.cost_nanousd == cost


def test_nobody_waits_until_a_purchase_is_remembered(shop):
    heard, remembered = Event(), []

    class Slow(Shelves):
        def learn(self, lots):
            remembered.extend([(heard.wait(10), lot.number) for lot in lots])

    writer = Writer(shop.database, shelves=Slow())
    hold = writer.submit(shop.account.id, shop.reserve("k", "a")).result(10)
    assert writer.submit(shop.account.id, capture_all(hold)).result(10).cost_nanousd == PRICE
    heard.set()
    writer.close()
    assert remembered == [(True, 1)]
