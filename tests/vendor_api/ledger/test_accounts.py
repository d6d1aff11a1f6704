"""Accounts and the price book, on both engines."""

import pytest

from vendor_api.db import read_clock
from vendor_api.ledger.accounts import AccountExists, create_account, find_account, list_accounts
from vendor_api.ledger.commands import UnknownAccount
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

    async def test_a_model_without_a_price_is_not_for_sale(self, ledger, shop):
        assert await ledger.prices("another") == {}
        assert await ledger.prices("icon-clip") == shop.prices
