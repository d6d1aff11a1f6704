"""Credit that expires: what burns first, what is lost, and what an old hold still protects."""

import pytest

from vendor_api.db.clock import DAY, HOUR, SECOND
from vendor_api.ledger import credits
from vendor_api.ledger.commands import (
    Credit,
    InsufficientCredit,
    ReferenceReused,
    UnknownAccount,
)

ITEMS = tuple(f"item {n}" for n in range(20))


class TestAddCredit:
    def test_says_what_it_booked(self, till):
        booking = till.credit(5, HOUR, ref="invoice 1")
        assert booking.new
        assert (booking.account_id, booking.amount_nanousd) == (till.account_id, 500_000)
        assert booking.available_nanousd == 500_000
        assert till.next_expiry_at == till.now + HOUR

    def test_the_same_reference_is_the_same_booking(self, till):
        first = till.credit(5, ref="invoice 1")
        again = till.credit(5, ref="invoice 1")
        assert (again.txn_id, again.new) == (first.txn_id, False)
        assert till.available == 5

    def test_a_repeat_after_its_expiry_is_still_known(self, till):
        till.credit(5, HOUR, ref="invoice 1")
        command = Credit(till.account_id, 500_000, "invoice 1", "credit", till.now + HOUR)
        till.now += DAY
        assert not till.run(lambda c: credits.add_credit(c, till.now, command)).new

    def test_a_promotion_has_references_of_its_own(self, till):
        till.credit(5, ref="1")
        assert till.credit(3, ref="1", kind="promo").new
        assert till.journal("promo") == [("customer", 3), ("promo_expense", -3)]
        assert till.journal("credit") == [("customer", 5), ("cash", -5)]

    def test_a_reference_of_another_amount_is_refused(self, till):
        till.credit(5, ref="1")
        with pytest.raises(ReferenceReused):
            till.credit(6, ref="1")

    def test_an_expiry_that_has_passed_is_refused(self, till):
        with pytest.raises(ValueError, match="still to come"):
            till.credit(5, 0)
        assert till.available == 0

    def test_an_unknown_account_is_refused(self, till):
        with pytest.raises(UnknownAccount):
            till.run(lambda c: credits.add_credit(c, till.now, Credit("acct_none", 1, "1")))


class TestBurnOrder:
    def test_the_soonest_expiry_burns_first_and_what_never_expires_last(self, till):
        till.credit(5)
        till.credit(5, 2 * HOUR)
        till.credit(5, HOUR)
        till.buy("k1", *ITEMS[:7])
        assert till.left == [5, 3, 0]

    def test_of_one_expiry_the_older_burns_first(self, till):
        till.credit(5, HOUR, kind="promo")
        till.credit(5, HOUR)
        till.buy("k1", *ITEMS[:6])
        assert till.left == [0, 4]

    def test_what_was_spent_before_is_not_drawn_from_what_came_later(self, till):
        till.credit(5)
        till.buy("k1", *ITEMS[:5])
        till.credit(5, HOUR)
        assert till.left == [0, 5]

    def test_what_was_lent_is_drawn_from_the_next_credit(self, till):
        till.run(
            lambda c: c.exec_driver_sql("UPDATE account_balance SET credit_limit_nanousd = 500000")
        )
        till.buy("k1", *ITEMS[:3])
        till.credit(5, HOUR)
        assert till.left == [2]
        till.now += HOUR
        assert till.expire() == 2


class TestExpiry:
    def test_what_is_left_is_lost_at_the_instant(self, till):
        till.credit(5, HOUR)
        till.buy("k1", *ITEMS[:2])
        till.now += HOUR - 1
        assert till.expire() == 0
        till.now += 1
        assert till.expire() == 3
        assert till.journal("expire") == [("customer", -3), ("breakage", 3)]
        assert (till.left, till.available, till.next_expiry_at) == ([0], 0, None)

    def test_nobody_spends_it_from_then_on(self, till):
        till.credit(5, HOUR)
        till.now += HOUR
        with pytest.raises(InsufficientCredit) as refused:
            till.reserve("k1", "a")
        assert refused.value.available_nanousd == 0

    def test_a_hold_taken_before_still_spends_it(self, till):
        till.credit(5, HOUR)
        hold = till.reserve("k1", *ITEMS[:3])
        till.now += HOUR + SECOND
        assert till.expire() == 2
        receipt = till.capture(hold)
        assert (receipt.cost_nanousd, receipt.available_nanousd) == (300_000, 0)
        assert (till.left, till.next_expiry_at) == ([0], None)

    def test_what_the_hold_did_not_need_is_lost_with_its_capture(self, till):
        till.credit(5, HOUR)
        hold = till.reserve("k1", *ITEMS[:3])
        till.now += HOUR + SECOND
        till.expire()
        assert till.capture(hold, True, False, False).available_nanousd == 0
        assert till.journal("expire")[1::2] == [("breakage", 2), ("breakage", 2)]

    def test_what_a_released_hold_protected_is_lost_before_the_next_one(self, till):
        till.credit(5, HOUR)
        hold = till.reserve("k1", *ITEMS[:3])
        till.now += HOUR
        till.expire()
        till.release(hold)
        with pytest.raises(InsufficientCredit):
            till.reserve("k2", "x")
        till.sweep()
        assert (till.left, till.available) == ([0], 0)

    def test_an_overdue_key_that_enters_again_loses_its_protection(self, till):
        till.credit(5, HOUR)
        till.reserve("k1", *ITEMS[:3], hold_seconds=60)
        till.now += HOUR
        with pytest.raises(InsufficientCredit):
            till.reserve("k1", *ITEMS[:3])
        till.credit(3)
        assert till.reserve("k1", *ITEMS[:3]).epoch == 2
        assert till.left == [0, 3]

    def test_a_later_hold_draws_only_from_credit_that_was_good_then(self, till):
        till.credit(5, HOUR)
        till.credit(5)
        old = till.reserve("old", *ITEMS[:5])
        till.now += HOUR
        till.buy("new", *ITEMS[5:9])
        assert till.left == [5, 1]
        till.capture(old)
        assert till.left == [0, 1]

    def test_credit_lent_after_the_instant_is_not_paid_with_what_was_due(self, till):
        till.run(
            lambda c: c.exec_driver_sql("UPDATE account_balance SET credit_limit_nanousd = 500000")
        )
        till.credit(5, HOUR)
        old = till.reserve("old", *ITEMS[:5])
        till.now += HOUR
        till.buy("lent", *ITEMS[5:9])
        till.release(old)
        assert till.expire() == 5
        assert till.available == 1

    def test_two_grants_protect_no_more_than_the_holds(self, till):
        till.credit(5, HOUR)
        till.credit(5, 2 * HOUR)
        till.reserve("k1", *ITEMS[:6], hold_seconds=10_000)
        till.now += 2 * HOUR
        assert till.expire() == 4
        assert till.left == [5, 1]

    def test_a_grant_that_was_spent_leaves_nothing_to_expire(self, till):
        till.credit(5, HOUR)
        till.buy("k1", *ITEMS[:5])
        till.now += HOUR
        assert till.expire() == 0
        assert till.journal("expire") == []
        assert till.next_expiry_at is None


class TestSweep:
    async def test_reaches_accounts_whose_credit_is_due(self, ledger, shop, till):
        till.credit(5, HOUR)
        statement = "UPDATE account_balance SET next_expiry_at = 1 WHERE next_expiry_at > 1"
        till.run(lambda c: c.exec_driver_sql(statement))
        till.run(
            lambda c: c.exec_driver_sql(
                "UPDATE credit_grant SET expires_at = 1 WHERE expires_at > 1"
            )
        )
        assert till.run(lambda c: credits.accounts_due(c, till.now)) == [till.account_id]
        assert await ledger.sweep() == 0
        assert (till.left, till.available) == ([0], 0)
