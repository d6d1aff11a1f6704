"""Money back, and balances moved by hand: once, never too much, and in the right books."""

import pytest
from sqlalchemy.exc import IntegrityError

from vendor_api.db.clock import HOUR
from vendor_api.ledger.commands import (
    InsufficientCredit,
    OverRefund,
    ReferenceReused,
    UnknownAccount,
    UnknownCharge,
)


@pytest.fixture
def bought(till):
    """Three items for 3 × 100,000."""
    till.credit(5)
    return till.buy("k1", "a", "b", "c").charge_id


class TestRefund:
    def test_gives_all_back_as_credit_that_never_expires(self, till, bought):
        booking = till.refund(bought)
        assert (booking.amount_nanousd, booking.new) == (300_000, True)
        assert booking.available_nanousd == 500_000
        assert till.journal("refund") == [("customer", 3), ("revenue", -3)]
        assert till.left == [2, 3]

    def test_in_parts_gives_back_no_more_than_the_cost(self, till, bought):
        till.refund(bought, 100_000, "r1")
        with pytest.raises(OverRefund) as refused:
            till.refund(bought, 200_001, "r2")
        assert (refused.value.wanted_nanousd, refused.value.left_nanousd) == (200_001, 200_000)
        assert till.refund(bought, None, "r2").amount_nanousd == 200_000
        with pytest.raises(OverRefund):
            till.refund(bought, None, "r3")

    def test_the_same_reference_is_the_same_refund(self, till, bought):
        first = till.refund(bought, None, "r1")
        for amount in (None, 300_000):
            again = till.refund(bought, amount, "r1")
            assert (again.txn_id, again.amount_nanousd, again.new) == (first.txn_id, 300_000, False)

    def test_a_reference_of_another_charge_or_amount_is_refused(self, till, bought):
        other = till.buy("k2", "d").charge_id
        till.refund(bought, 100_000, "r1")
        for charge_id, amount in ((other, 100_000), (bought, 200_000)):
            with pytest.raises(ReferenceReused):
                till.refund(charge_id, amount, "r1")

    def test_a_hold_has_nothing_to_give_back(self, till):
        till.credit(5)
        hold = till.reserve("k1", "a")
        with pytest.raises(OverRefund):
            till.refund(hold.charge_id, 1)
        assert till.capture(hold).cost_nanousd == 100_000

    def test_of_what_cost_expired_credit_can_be_spent_again(self, till):
        till.credit(3, HOUR)
        charge_id = till.buy("k1", "a", "b", "c").charge_id
        till.now += 2 * HOUR
        till.refund(charge_id)
        assert till.buy("k2", "d").available_nanousd == 200_000

    def test_the_database_itself_refuses_more_than_the_cost(self, till, bought):
        with pytest.raises(IntegrityError):
            till.run(lambda c: c.exec_driver_sql("UPDATE charge SET refunded_nanousd = 300001"))

    def test_nonsense_is_refused(self, till, bought):
        with pytest.raises(UnknownCharge):
            till.refund("chg_none")
        for amount in (0, -1):
            with pytest.raises(ValueError, match="more than zero"):
                till.refund(bought, amount)


class TestAdjust:
    def test_up_is_credit(self, till):
        booking = till.adjust(300_000)
        assert (booking.amount_nanousd, booking.available_nanousd) == (300_000, 300_000)
        assert till.journal("adjust") == [("customer", 3), ("adjustments", -3)]
        assert till.left == [3]

    def test_down_takes_what_is_available(self, till):
        till.credit(5)
        hold = till.reserve("k1", "a")
        with pytest.raises(InsufficientCredit) as refused:
            till.adjust(-400_001)
        assert refused.value.available_nanousd == 400_000
        assert till.adjust(-400_000).available_nanousd == 0
        assert till.capture(hold).cost_nanousd == 100_000

    def test_down_does_not_take_what_has_expired(self, till):
        till.credit(5, HOUR)
        till.now += HOUR
        with pytest.raises(InsufficientCredit):
            till.adjust(-1)

    def test_down_leaves_what_an_old_hold_stands_on(self, till):
        till.credit(2, HOUR)
        till.credit(2)
        hold = till.reserve("k1", "a", "b")
        till.now += HOUR
        till.adjust(-200_000)
        assert till.left == [2, 0]
        till.capture(hold)
        assert till.left == [0, 0]

    def test_the_same_reference_is_the_same_adjustment(self, till):
        assert till.adjust(5).new
        assert not till.adjust(5).new
        with pytest.raises(ReferenceReused):
            till.adjust(-5)

    def test_nonsense_is_refused(self, till):
        with pytest.raises(ValueError, match="zero"):
            till.adjust(0)
        till.account_id, own = "acct_none", till.account_id
        with pytest.raises(UnknownAccount):
            till.adjust(5)
        till.account_id = own
