"""Instants that decide about money: credit expires, windows end, clocks disagree."""

from datetime import UTC, datetime

import pytest

from tests.vendor_api.ledger.till import Till
from vendor_api.db import as_microseconds, read_clock
from vendor_api.db.clock import DAY, HOUR, SECOND
from vendor_api.ledger.commands import CapReached, InsufficientCredit

MONTH_END = as_microseconds(datetime(2028, 2, 29, 23, 59, 59, 999999, tzinfo=UTC))
DST_NIGHT = as_microseconds(datetime(2027, 3, 28, 0, 59, 59, tzinfo=UTC))
LEAP_SECOND = as_microseconds(datetime(2016, 12, 31, 23, 59, 59, 999999, tzinfo=UTC))


@pytest.fixture
def till(shop, api_key):
    opened = Till(shop, api_key.key_id)
    yield opened
    opened.require_right_books()


class TestCase14:
    def test_case_14_credit_that_expires_while_held_is_spent_by_that_hold_only(self, till):
        till.credit(4, HOUR)
        hold = till.reserve("k1", "a", "b", "c")
        till.now += HOUR
        with pytest.raises(InsufficientCredit):
            till.reserve("k2", "d")
        assert till.capture(hold, True, True, False).cost_nanousd == 200_000
        till.expire()
        assert (till.left, till.available) == ([0], 0)
        assert sum(amount for book, amount in till.journal("expire") if book == "breakage") == 2

    @pytest.mark.parametrize(("beside", "good"), [(-1, True), (0, False), (1, False)])
    def test_case_14_a_reserve_at_the_very_instant_comes_too_late(self, till, beside, good):
        till.credit(1, HOUR)
        till.now += HOUR + beside
        if good:
            assert till.reserve("k1", "a")
        else:
            with pytest.raises(InsufficientCredit):
                till.reserve("k1", "a")

    def test_case_14_of_two_grants_of_one_expiry_the_older_burns_first(self, till):
        till.credit(2, HOUR)
        till.credit(2, HOUR)
        till.buy("k1", "a", "b", "c")
        assert till.left == [0, 1]
        till.now += HOUR
        till.expire()
        assert till.journal("expire") == [("customer", -1), ("breakage", 1)]

    def test_case_14_a_promotion_burns_before_money_that_stays(self, till):
        till.credit(2)
        till.credit(2, HOUR, kind="promo")
        till.buy("k1", "a", "b", "c")
        assert till.left == [1, 0]

    def test_case_14_the_order_is_the_same_however_late_it_is_drawn(self, till):
        till.credit(3, 2 * HOUR)
        till.credit(3, HOUR, kind="promo")
        till.buy("k1", "a", "b")
        till.buy("k2", "c", "d")
        till.now += 3 * HOUR
        till.expire()
        assert till.journal("expire")[1] == ("breakage", 2)


class TestCase15:
    @pytest.mark.parametrize("before", [MONTH_END, DST_NIGHT, LEAP_SECOND])
    @pytest.mark.parametrize("window", ["day", "month"])
    @pytest.mark.parametrize("end", ["capture", "release", "expire", "enter again"])
    def test_case_15_a_hold_in_flight_over_the_edge_ends_in_its_own_window(
        self, till, before, window, end
    ):
        till.now = before
        till.credit(9)
        till.cap("items", window, 3)
        hold = till.reserve("k1", "a", "b", hold_seconds=1)
        till.now += 2 * SECOND
        same = before == DST_NIGHT  # the clocks of Europe jump, UTC does not
        other = till.reserve("k2", "c")
        if end == "capture":
            till.capture(hold)
        elif end == "release":
            till.release(hold)
        elif end == "expire":
            till.sweep()
        else:
            till.reserve("k1", "a", "b")
        till.capture(other)
        used_before = 2 if end == "capture" else 0
        held_now = 2 if end == "enter again" else 0
        now = (1 + used_before, held_now) if same else (1, held_now)
        assert till.windows() == {("items", window): now}
        till.now = before
        then = now if same else (used_before, 0)
        assert till.windows() == {("items", window): then}

    @pytest.mark.parametrize("skew", [-HOUR, HOUR])
    def test_case_15_a_clock_that_jumps_makes_no_window_negative(self, till, skew):
        till.now = MONTH_END
        till.credit(9, DAY)
        till.cap("items", "day", 2)
        first = till.reserve("k1", "a")
        till.now += skew
        second = till.reserve("k2", "b")
        till.now -= skew
        till.capture(second)
        till.release(first)
        till.now += skew
        for n in range(3):
            try:
                till.buy(f"later {n}", f"later {n}")
            except CapReached:
                break
        till.require_right_books()

    async def test_case_15_the_clock_is_the_databases(self, ledger, shop):
        hold = await ledger.reserve(shop.reserve("k", "a"))
        (charge,) = (await ledger.charges(shop.account.id)).data
        created = datetime.fromisoformat(charge.created_at)
        with shop.database.read() as connection:
            now = read_clock(connection)
        assert hold.epoch == 1
        assert 0 <= now - as_microseconds(created) < 60 * SECOND
