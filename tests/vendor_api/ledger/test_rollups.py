"""Hours of usage edited by hand are found and made again."""

import pytest

from vendor_api.ledger.audit import audit
from vendor_api.ledger.rollups import Counts, rebuild

EDITS = {
    "items": "UPDATE usage_rollup SET items = items + 7",
    "cost": "UPDATE usage_rollup SET cost_nanousd = 0",
    "hour": "UPDATE usage_rollup SET hour = hour - 3600000000",
    "key": "UPDATE usage_rollup SET key_id = 'key_eve'",
    "lost": "DELETE FROM usage_rollup",
}


@pytest.fixture
async def busy_shop(ledger, shop):
    hold = await ledger.reserve(
        shop.reserve("k1", lines=shop.lines("a", "b") + shop.lines("x", modality="text"))
    )
    await ledger.capture(hold, [True, False, True], failed=2, repeated=1)
    hold = await ledger.reserve(shop.reserve("k2", "a", "c"))
    await ledger.capture(hold, [True, True])
    return shop


def edit(shop, statement):
    with shop.database.write() as connection:
        connection.exec_driver_sql(statement)


def make_again(shop, *, dry_run=False):
    with shop.database.write() as connection:
        return rebuild(connection, dry_run=dry_run)


async def test_right_hours_stay_as_they_are(busy_shop):
    assert make_again(busy_shop) == []


@pytest.mark.parametrize("what", EDITS)
async def test_an_edited_hour_is_found_and_made_again(busy_shop, what):
    edit(busy_shop, EDITS[what])
    assert {v.rule for v in audit(busy_shop.database).violations} == {"roll-ups"}
    assert make_again(busy_shop)
    assert audit(busy_shop.database).ok
    assert make_again(busy_shop) == []


async def test_what_no_charge_remembers_is_kept(busy_shop):
    edit(busy_shop, "UPDATE usage_rollup SET items = 0 WHERE modality = 'image'")
    (change,) = make_again(busy_shop)
    assert change.was == Counts(0, 2, 3, 200_000)
    assert change.becomes == Counts(2, 2, 3, 200_000)


async def test_free_items_are_at_least_what_the_charges_know(busy_shop):
    edit(busy_shop, "UPDATE usage_rollup SET items_free = 0 WHERE modality = 'image'")
    (change,) = make_again(busy_shop)
    assert change.becomes.items_free == 1


async def test_a_dry_run_changes_nothing(busy_shop):
    edit(busy_shop, EDITS["cost"])
    with busy_shop.database.snapshot() as connection:
        wanted = rebuild(connection, dry_run=True)
    assert make_again(busy_shop) == wanted
