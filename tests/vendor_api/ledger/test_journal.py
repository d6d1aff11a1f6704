"""Credits happen once; the journal cannot be rewritten, not even by hand."""

import asyncio

import pytest
from sqlalchemy.exc import DBAPIError

from vendor_api.ledger.commands import LedgerError, ReferenceReused, UnknownAccount
from vendor_api.ledger.journal import record


async def credited_usd(ledger, shop):
    return (await ledger.balance(shop.account.id)).credited_usd


class TestCredit:
    async def test_is_added_once_for_each_reference(self, ledger, shop):
        assert await ledger.credit(shop.account.id, 500, "invoice 1") is True
        assert await ledger.credit(shop.account.id, 500, "invoice 1") is False
        assert await credited_usd(ledger, shop) == "1.000000500"

    async def test_delivered_twenty_times_at_once_is_added_once(self, ledger, shop):
        calls = [ledger.credit(shop.account.id, 500, "webhook") for _ in range(20)]
        assert sum(await asyncio.gather(*calls)) == 1
        assert await credited_usd(ledger, shop) == "1.000000500"

    async def test_a_reference_of_another_amount_is_refused(self, ledger, shop):
        await ledger.credit(shop.account.id, 500, "invoice 1")
        with pytest.raises(ReferenceReused):
            await ledger.credit(shop.account.id, 501, "invoice 1")
        assert await credited_usd(ledger, shop) == "1.000000500"

    async def test_a_reference_of_another_account_is_refused(self, ledger, shop):
        bob = shop.open_account("bob", "1.00")
        await ledger.credit(shop.account.id, 500, "invoice 1")
        with pytest.raises(ReferenceReused):
            await ledger.credit(bob.id, 500, "invoice 1")

    async def test_an_unknown_account_is_refused(self, ledger):
        with pytest.raises(UnknownAccount):
            await ledger.credit("acct_none", 500, "invoice 1")

    @pytest.mark.parametrize("amount", [0, -1])
    async def test_nothing_or_less_is_refused(self, ledger, shop, amount):
        with pytest.raises(ValueError, match="more than zero"):
            await ledger.credit(shop.account.id, amount, "invoice 1")

    async def test_more_than_a_column_can_add_up_is_refused_by_the_database(self, ledger, shop):
        with pytest.raises(DBAPIError):
            await ledger.credit(shop.account.id, 2**62 - 1, "invoice 1")
        assert await credited_usd(ledger, shop) == "1.000000000"

    async def test_balance_of_an_unknown_account_is_refused(self, ledger):
        with pytest.raises(UnknownAccount):
            await ledger.balance("acct_none")


class TestJournal:
    @pytest.mark.parametrize("table", ["ledger_txn", "ledger_entry"])
    @pytest.mark.parametrize("change", ["UPDATE {} SET {}", "DELETE FROM {}"])
    def test_is_append_only(self, shop, table, change):
        column = {"ledger_txn": "created_at = 0", "ledger_entry": "amount_nanousd = 0"}[table]
        with pytest.raises(DBAPIError, match="append-only"), shop.database.write() as connection:
            connection.exec_driver_sql(change.format(table, column))

    def test_cannot_be_emptied_in_one_stroke(self, shop):
        if shop.database.url.get_backend_name() == "sqlite":
            return  # SQLite has no TRUNCATE; DELETE is tested above
        with pytest.raises(DBAPIError, match="append-only"), shop.database.write() as connection:
            connection.exec_driver_sql("TRUNCATE ledger_entry")

    def test_does_not_write_what_does_not_sum_to_zero(self, shop):
        values = {"kind": "adjust", "ref": "r", "account_id": shop.account.id}
        with pytest.raises(LedgerError, match="sum"), shop.database.write() as connection:
            record(connection, 0, **values, legs={"cash": 1, "customer": -2})

    def test_of_postgresql_refuses_such_entries_itself(self, shop):
        if shop.database.url.get_backend_name() == "sqlite":
            return  # the writer and the audit check it there
        with pytest.raises(DBAPIError, match="sum to zero"), shop.database.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO ledger_entry SELECT id, 9, 'cash', 5 FROM ledger_txn"
            )

    def test_reading_connections_cannot_write(self, shop):
        with pytest.raises(DBAPIError), shop.database.read() as connection:
            connection.exec_driver_sql("UPDATE account SET name = 'eve'")
