"""What a book-keeper gets: every row, oldest first, under names that stay."""

from datetime import UTC, datetime

import pytest

from vendor_api.db.clock import DAY, HOUR
from vendor_api.ledger.exports import COLUMNS, export_rows


@pytest.fixture
def traded(till):
    """Ten items of credit of which five expire, four bought, one of them refunded; one held."""
    till.credit(5, DAY, kind="promo")
    till.credit(5)
    bought = till.buy("k1", "a", "b", "c", "d")
    till.now += HOUR
    till.refund(bought.charge_id, 100_000)
    till.reserve("k2", "e")
    return till


def export(till, what, **chosen):
    values = {"account_id": till.account_id, **chosen}
    with till.shop.database.snapshot() as connection:
        return list(export_rows(connection, what, **values))


@pytest.mark.parametrize("what", COLUMNS)
def test_the_columns_are_those_that_are_announced(traded, what):
    rows = export(traded, what)
    assert rows
    assert {tuple(row) for row in rows} == {COLUMNS[what]}


def test_the_journal_sums_to_zero_and_is_in_order(traded):
    rows = export(traded, "journal")
    assert [row["kind"] for row in rows[::2]] == ["promo", "credit", "capture", "refund"]
    assert sum(row["amount_nanousd"] for row in rows) == 0
    refund = rows[-2]
    assert (refund["amount_usd"], refund["reason"]) == ("0.000100000", "was blurred")
    assert refund["charge_id"].startswith("chg_")
    assert refund["created_at"] == "2027-03-10T13:00:00Z"


def test_charges_say_what_was_refunded(traded):
    first, second = export(traded, "charges")
    assert (first["cost_nanousd"], first["refunded_usd"]) == (400_000, "0.000100000")
    assert (second["state"], second["captured_at"]) == ("held", None)


def test_grants_say_what_is_left_now(traded):
    rows = export(traded, "grants")
    assert [row["remaining_nanousd"] for row in rows] == [100_000, 500_000, 100_000]
    assert [row["kind"] for row in rows] == ["promo", "credit", "refund"]
    assert rows[0]["expires_at"] == "2027-03-11T12:00:00Z"


def test_usage_is_by_the_hour(traded):
    (row,) = export(traded, "usage")
    assert (row["hour"], row["items"]) == ("2027-03-10T12:00:00Z", 4)


def test_bounds_are_from_and_up_to(traded):
    assert [row["kind"] for row in export(traded, "journal", since=traded.now)] == ["refund"] * 2
    assert len(export(traded, "journal", until=traded.now)) == 6


def test_every_account_is_meant_when_none_is_named(traded):
    owners = {row["account_id"] for row in export(traded, "journal", account_id=None)}
    assert owners == {traded.account_id, traded.shop.account.id}


def test_another_account_sees_nothing_of_it(traded):
    assert export(traded, "charges", account_id=traded.shop.account.id) == []


def test_an_unknown_export_is_refused(traded):
    with pytest.raises(ValueError, match="journal, charges, usage, grants"):
        export(traded, "secrets")


def test_instants_are_utc(traded):
    row = export(traded, "journal")[0]
    assert datetime.fromisoformat(row["created_at"]).tzinfo == UTC
