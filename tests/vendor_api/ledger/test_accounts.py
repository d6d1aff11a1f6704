"""Accounts and the price book, on both engines."""

import pytest

from vendor_api.db import MAX_CREDITED_NANOUSD, read_clock
from vendor_api.db.clock import HOUR
from vendor_api.ledger.accounts import (
    AccountExists,
    create_account,
    find_account,
    list_accounts,
    set_credit_limit,
    set_status,
)
from vendor_api.ledger.commands import (
    AccountFrozen,
    CreditLimitInUse,
    InsufficientCredit,
    UnknownAccount,
)
from vendor_api.ledger.prices import list_prices, set_prices


class TestAccounts:
    def test_are_found_by_id_and_by_name(self, shop):
        bob = shop.open_account("bob", "1.00")
        with shop.database.read() as connection:
            assert find_account(connection, "bob") == find_account(connection, bob.id) == bob
            assert list_accounts(connection) == [shop.account, bob]

    def test_an_id_wins_over_a_name(self, shop):
        shop.open_account(shop.account.id, "1.00")
        with shop.database.read() as connection:
            assert find_account(connection, shop.account.id) == shop.account

    def test_unknown_account(self, shop):
        with pytest.raises(UnknownAccount), shop.database.read() as connection:
            find_account(connection, "nobody")

    def test_a_name_is_given_once(self, shop):
        with pytest.raises(AccountExists), shop.database.write() as connection:
            create_account(connection, read_clock(connection), "ada")


class TestStatus:
    def test_a_frozen_account_buys_nothing_and_its_holds_are_captured(self, till):
        till.credit(5)
        hold = till.reserve("k1", "a")
        till.run(lambda c: set_status(c, till.account_id, "frozen"))
        with pytest.raises(AccountFrozen):
            till.reserve("k2", "b")
        assert till.capture(hold).cost_nanousd == 100_000
        till.run(lambda c: set_status(c, till.account_id, "active"))
        assert till.reserve("k2", "b")

    def test_nonsense_is_refused(self, till):
        with pytest.raises(UnknownAccount):
            till.run(lambda c: set_status(c, "acct_none", "frozen"))
        with pytest.raises(ValueError, match="active or frozen"):
            till.run(lambda c: set_status(c, till.account_id, "happy"))  # type: ignore[arg-type]


class TestCreditLimit:
    def test_can_be_spent_and_not_lowered_below_what_is_used(self, till):
        till.run(lambda c: set_credit_limit(c, till.account_id, 300_000))
        till.buy("k1", "a")
        till.reserve("k2", "b")
        with pytest.raises(CreditLimitInUse) as refused:
            till.run(lambda c: set_credit_limit(c, till.account_id, 199_999))
        assert refused.value.least_nanousd == 200_000
        till.run(lambda c: set_credit_limit(c, till.account_id, 200_000))
        with pytest.raises(InsufficientCredit):
            till.reserve("k3", "c")

    def test_expired_credit_does_not_stand_in_for_it(self, till):
        till.now = till.run(read_clock) - 2 * HOUR
        till.run(lambda c: set_credit_limit(c, till.account_id, 100_000))
        till.credit(1, HOUR)
        old = till.reserve("old", "a", hold_seconds=10_000)
        till.now += HOUR
        till.buy("lent", "b")
        till.release(old)
        with pytest.raises(CreditLimitInUse):
            till.run(lambda c: set_credit_limit(c, till.account_id, 0))

    @pytest.mark.parametrize("limit", [-1, MAX_CREDITED_NANOUSD + 1])
    def test_one_that_cannot_be_is_refused(self, till, limit):
        with pytest.raises(ValueError, match="not negative"):
            till.run(lambda c: set_credit_limit(c, till.account_id, limit))

    def test_of_an_unknown_account_is_refused(self, till):
        with pytest.raises(UnknownAccount):
            till.run(lambda c: set_credit_limit(c, "acct_none", 1))


class TestPrices:
    def test_an_unchanged_price_keeps_its_version(self, shop):
        with shop.database.write() as connection:
            unit = shop.prices["image"].unit_nanousd
            again = set_prices(connection, read_clock(connection), "icon-clip", {"image": unit})
        assert again == shop.prices

    def test_a_price_changed_back_is_current_again(self, shop):
        for price in ("0.5", "0.0001"):
            shop.set_prices(image=price)
        with shop.database.read() as connection:
            units = [
                price.unit_nanousd for price in list_prices(connection, read_clock(connection))
            ]
        assert units == [100_000, 10_000]

    def test_a_negative_price_is_refused(self, shop):
        with pytest.raises(ValueError, match="not negative"), shop.database.write() as connection:
            set_prices(connection, read_clock(connection), "icon-clip", {"image": -1})

    def test_a_price_can_be_announced(self, till):
        unit = till.shop.prices["image"].unit_nanousd
        start = till.now + HOUR
        announced = till.run(
            lambda c: set_prices(c, till.now, "icon-clip", {"image": 7}, valid_from=start)
        )
        assert announced["image"].unit_nanousd == 7
        for now, expected in ((till.now, unit), (start - 1, unit), (start, 7)):
            assert till.run(lambda c, now=now: list_prices(c, now))[0].unit_nanousd == expected
        (upcoming,) = till.run(lambda c: list_prices(c, till.now, upcoming=True))
        assert (upcoming.unit_nanousd, upcoming.valid_from) == (7, start)
        assert till.run(lambda c: list_prices(c, start, upcoming=True)) == []

    def test_of_two_announced_for_one_instant_the_later_word_counts(self, till):
        start = till.now + HOUR
        for unit in (7, 8):
            till.run(
                lambda c, u=unit: set_prices(
                    c, till.now, "icon-clip", {"image": u}, valid_from=start
                )
            )
        upcoming = till.run(lambda c: list_prices(c, till.now, upcoming=True))
        assert [price.unit_nanousd for price in upcoming] == [8]
        assert till.run(lambda c: list_prices(c, start))[0].unit_nanousd == 8

    def test_a_price_of_the_past_is_refused(self, till):
        with pytest.raises(ValueError, match="has passed"):
            till.run(
                lambda c: set_prices(
                    c, till.now, "icon-clip", {"image": 7}, valid_from=till.now - 1
                )
            )

    async def test_a_model_without_a_price_is_not_for_sale(self, ledger, shop):
        assert await ledger.prices("another") == {}
        assert await ledger.prices("icon-clip") == shop.prices
