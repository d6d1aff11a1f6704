"""Many buyers, operators and processes at once: nothing is sold, credited or refunded twice."""

import os
import threading
from collections import Counter
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.vendor_api.ledger.rivals import compete
from tests.vendor_api.ledger.till import Till
from vendor_api.db import open_database
from vendor_api.db.tables import ledger_txn
from vendor_api.ledger import balance
from vendor_api.ledger.accounts import set_status
from vendor_api.ledger.audit import audit
from vendor_api.ledger.commands import AccountFrozen, CapReached, OverRefund
from vendor_api.ledger.prices import current_prices, set_prices

SECONDS = int(os.environ.get("BOOKS_SECONDS", "3"))
"""How long the deadlock hunt lasts; a reviewer sets 60."""


@pytest.fixture
def till(shop, api_key):
    opened = Till(shop, api_key.key_id)
    yield opened
    opened.require_right_books()


def total(outcomes):
    seen: Counter[str] = Counter()
    for each in outcomes:
        seen.update(each)
    seen.pop("tried again", None)
    return seen


class Sampler(threading.Thread):
    """Looks at the account's balance again and again."""

    def __init__(self, url, account_id):
        super().__init__()
        self.lowest, self.looks = 2**63, 0
        self._stop_asked = threading.Event()
        self._url, self._account_id = url, account_id

    def run(self):
        database = open_database(self._url)
        while not self._stop_asked.wait(0.01):
            with database.read() as connection:
                available = balance.read_available(connection, self._account_id)
            self.lowest, self.looks = min(self.lowest, available), self.looks + 1
        database.close()

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self._stop_asked.set()
        self.join()


def test_case_01_of_200_buyers_exactly_100_are_served_when_credit_covers_100(
    till, vendor_database_url
):
    till.credit(100)
    with Sampler(vendor_database_url, till.account_id) as sampler:
        outcomes = compete("spend", vendor_database_url, 4, till.account_id, 50)
    assert total(outcomes) == {"captured": 100, "InsufficientCredit": 100}
    assert till.available == 0
    assert sampler.looks > 0
    assert sampler.lowest >= 0


def test_case_12_one_credit_delivered_five_times_at_once_is_one(till):
    bookings = at_once(5, lambda n: till.credit(7, ref="webhook"))
    assert sum(booking.new for booking in bookings) == 1
    assert till.available == 7


def test_case_12_one_refund_posted_by_five_processes_is_one(till, vendor_database_url):
    till.credit(3)
    charge_id = till.buy("k1", "a", "b").charge_id
    outcomes = compete("refund", vendor_database_url, 5, till.account_id, charge_id)
    assert total(outcomes) == {"new": 1, "known": 24}
    assert sorted(till.left) == [1, 2]


def test_case_12_refunds_in_parallel_never_exceed_the_cost(till):
    till.credit(3)
    charge_id = till.buy("k1", "a", "b").charge_id
    outcomes = at_once(5, lambda n: till.refund(charge_id, 90_000, f"refund {n}"))
    refused = [outcome for outcome in outcomes if isinstance(outcome, OverRefund)]
    assert len(refused) == 3
    assert till.journal("refund")[::2] == [("customer", 0.9)] * 2


def test_case_12_a_refund_that_races_its_capture_comes_before_or_after(till):
    till.credit(20)
    for turn in range(10):
        hold = till.reserve(f"k{turn}", f"item {turn}")
        works = (
            lambda hold=hold: till.capture(hold),
            lambda hold=hold, turn=turn: till.refund(hold.charge_id, None, f"r{turn}"),
        )
        captured, refunded = at_once(2, lambda n, works=works: works[n]())
        assert captured.cost_nanousd == 100_000
        assert isinstance(refunded, OverRefund) or refunded.amount_nanousd == 100_000
    till.require_right_books()


def test_case_13_a_hold_outlives_price_freeze_and_cap_and_the_next_request_sees_them(till):
    till.credit(10)
    till.cap("items", "day", 5)
    hold = till.reserve("k1", "a", "b")
    till.run(lambda c: set_prices(c, till.now, "icon-clip", {"image": 700_000}))
    till.cap("items", "day", 1)
    till.run(lambda c: set_status(c, till.account_id, "frozen"))
    with pytest.raises(AccountFrozen):
        till.reserve("k2", "c")
    assert till.capture(hold).cost_nanousd == 200_000
    till.run(lambda c: set_status(c, till.account_id, "active"))
    with pytest.raises(CapReached):
        till.reserve("k2", "c")
    till.cap("items", "day", None)
    price = till.run(lambda c: current_prices(c, till.now, "icon-clip"))["image"]
    assert price.unit_nanousd == 700_000


def test_case_17_sixteen_processes_on_overlapping_accounts_lose_and_double_nothing(
    shop, vendor_database_url
):
    owners = [shop.open_account(f"customer {n}", "10.00").id for n in range(8)]
    seen = total(compete("mingle", vendor_database_url, 16, SECONDS, *owners))
    assert set(seen) == {"credited", "captured"}
    with shop.database.read() as connection:
        query = select(ledger_txn.c.kind, func.count()).where(ledger_txn.c.account_id.in_(owners))
        rows = connection.execute(query.group_by(ledger_txn.c.kind)).all()
    counted = {row[0]: row[1] for row in rows}
    assert counted == {"credit": seen["credited"] + len(owners), "capture": seen["captured"]}
    found = audit(shop.database)
    assert found.ok, found.violations


def at_once(count, call):
    """What each of so many threads got, exceptions included."""
    barrier = threading.Barrier(count)
    outcomes: list[Any] = [None] * count

    def run(n):
        barrier.wait()
        try:
            outcomes[n] = call(n)
        except Exception as error:
            outcomes[n] = error

    threads = [threading.Thread(target=run, args=(n,)) for n in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes
