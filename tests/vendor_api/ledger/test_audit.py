"""The audit finds every way in which the books can be wrong."""

import pytest
from sqlalchemy.exc import IntegrityError

from vendor_api.db.clock import HOUR
from vendor_api.ledger.audit import audit

UNGUARD = {
    "sqlite": [
        f"DROP TRIGGER {table}_no_{event}"
        for table in ("ledger_txn", "ledger_entry")
        for event in ("UPDATE", "DELETE")
    ],
    "postgresql": [
        f"ALTER TABLE {table} DISABLE TRIGGER ALL" for table in ("ledger_txn", "ledger_entry")
    ],
}

TAMPERINGS = {
    "held": "UPDATE account_balance SET held_nanousd = held_nanousd + 1",
    "credited": "UPDATE account_balance SET credited_nanousd = credited_nanousd + 1",
    "debited": "UPDATE account_balance SET debited_nanousd = debited_nanousd + 1",
    "one transaction a capture": "UPDATE ledger_txn SET ref = 'gone' WHERE kind = 'capture'",
    "no transaction without a capture": "UPDATE ledger_txn SET ref = 'gone' WHERE kind = 'capture'",
    "cost": "UPDATE charge SET cost_nanousd = 0 WHERE state = 'captured'",
    "price": "UPDATE charge SET images_free = 1 WHERE state = 'captured'",
    "zero sum": "UPDATE ledger_entry SET amount_nanousd = amount_nanousd + 1 WHERE book = 'cash'",
    "roll-ups": "UPDATE usage_rollup SET cost_nanousd = cost_nanousd - 1",
    "overdue holds": "UPDATE charge SET expires_at = expires_at - 200000000 WHERE state = 'held'",
    "balance row": "DELETE FROM account_balance",
    "drawn": "UPDATE credit_grant SET remaining_nanousd = remaining_nanousd - 1",
    "grants": "UPDATE credit_grant SET amount_nanousd = amount_nanousd + 1",
    "books": "UPDATE ledger_entry SET book = 'revenue:other' WHERE book >= 'revenue:'",
    "price of a hold": "UPDATE charge SET images = 2 WHERE state = 'held'",
}

# With credit that expired in part, a refund and a cap.
OPERATION_TAMPERINGS = {
    "refunds": "UPDATE charge SET refunded_nanousd = refunded_nanousd - 1 WHERE refunded_nanousd > 0",
    "expiries": "UPDATE ledger_txn SET ref = 'grt_gone' WHERE kind = 'expire'",
    "next expiry": "UPDATE account_balance SET next_expiry_at = NULL",
    "caps": "UPDATE cap_window SET used = used - 1 WHERE used > 0",
    "books": "UPDATE ledger_entry SET book = 'cash' WHERE book = 'breakage'",
    "drawn": "UPDATE account_balance SET drawn_nanousd = drawn_nanousd - 1 WHERE drawn_nanousd > 0",
    "debited": "UPDATE ledger_txn SET account_id = 'ACCOUNT' WHERE kind = 'expire'",
}


@pytest.fixture
async def busy_ledger(ledger, shop):
    paid = await ledger.reserve(shop.reserve("paid", "a", "b"))
    await ledger.capture(paid, [True, True])
    await ledger.reserve(shop.reserve("held", "c"))
    released = await ledger.reserve(shop.reserve("released", "d"))
    await ledger.release(released, final=False)
    return ledger


def tamper(shop, statement):
    with shop.database.write() as connection:
        for unguard in UNGUARD[connection.dialect.name]:
            connection.exec_driver_sql(unguard)
        connection.exec_driver_sql(statement)


async def test_right_books_pass_with_their_totals(busy_ledger):
    audit = await busy_ledger.verify()
    assert audit.ok
    assert audit.violations == ()
    assert (audit.accounts, audit.charges, audit.captured) == (1, 3, 1)
    assert (audit.credited_nanousd, audit.held_nanousd) == (1_000_000_000, 100_000)
    assert audit.debited_nanousd == audit.revenue_nanousd == 200_000


@pytest.mark.parametrize("rule", TAMPERINGS)
async def test_tampering_is_found(busy_ledger, shop, rule):
    tamper(shop, TAMPERINGS[rule])
    audit = await busy_ledger.verify()
    assert not audit.ok
    assert rule in {violation.rule for violation in audit.violations}


async def test_a_rolled_up_hour_of_nothing_is_found(busy_ledger, shop):
    tamper(shop, "UPDATE usage_rollup SET hour = hour - 3600000000")
    rules = {violation.rule for violation in (await busy_ledger.verify()).violations}
    assert rules == {"roll-ups"}


async def test_items_counted_wrong_are_found(busy_ledger, shop):
    tamper(shop, "UPDATE usage_rollup SET items = items + 1")
    (violation,) = (await busy_ledger.verify()).violations
    assert violation.rule == "roll-ups"
    assert violation.detail == "is 3, the journal says 2"


async def test_the_database_itself_refuses_a_negative_balance(busy_ledger, shop):
    for change in ("held_nanousd = -1", "debited_nanousd = credited_nanousd + 1"):
        with pytest.raises(IntegrityError), shop.database.write() as connection:
            connection.exec_driver_sql(f"UPDATE account_balance SET {change}")


@pytest.fixture
def operated(till):
    """A till whose books are wrong in the end."""
    till.credit(5, HOUR, kind="promo")
    till.now += HOUR
    till.credit(10, HOUR)
    till.cap("items", "day", 9)
    bought = till.buy("k1", "a", "b")
    till.refund(bought.charge_id, 100_000)
    till.reserve("k2", "c")
    till.require_right_books()
    yield till
    till.require_right_books = lambda: None


@pytest.mark.parametrize("rule", OPERATION_TAMPERINGS)
def test_tampering_with_what_operators_did_is_found(operated, rule):
    shop = operated.shop
    tamper(shop, OPERATION_TAMPERINGS[rule].replace("ACCOUNT", shop.account.id))
    found = {each.rule: each for each in audit(shop.database).violations}
    assert found[rule].account_id in (operated.account_id, shop.account.id)


async def test_a_violation_names_the_account_it_belongs_to(busy_ledger, shop):
    bob = shop.open_account("bob", "1.00")
    tamper(
        shop,
        f"UPDATE account_balance SET credited_nanousd = credited_nanousd + 1 "
        f"WHERE account_id = '{bob.id}'",
    )
    violations = (await busy_ledger.verify()).violations
    assert {violation.account_id for violation in violations} == {bob.id}
