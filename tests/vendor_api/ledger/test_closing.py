"""The end of an account: liability to zero, every rule of the books kept, and no way back."""

from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import func, select

from vendor_api.auth.repository import find_key, issue_key
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY
from vendor_api.db.tables import account_balance, ledger_entry, ledger_txn
from vendor_api.ledger.accounts import find_account, set_credit_limit, set_status
from vendor_api.ledger.audit import audit
from vendor_api.ledger.capture import capture
from vendor_api.ledger.closing import CannotClose, Close, close_account, find_closure
from vendor_api.ledger.commands import (
    AccountClosed,
    AccountFrozen,
    Adjust,
    Credit,
    Hold,
    ReferenceReused,
    Refund,
    UnknownAccount,
)
from vendor_api.ledger.corrections import adjust_balance, refund_charge
from vendor_api.ledger.credits import add_credit
from vendor_api.ledger.reservation import reserve

CENT = 10_000_000


def work(shop, act, *, at=0):
    with shop.database.write() as connection:
        return act(connection, read_clock(connection) + at)


def close(shop, ref=None, account_id=None, *, at=0):
    command = Close(account_id or shop.account.id, "asked for it", ref)
    return work(shop, lambda c, now: close_account(c, now, command), at=at)


def buy(shop, key, *names):
    def act(connection, now):
        hold = reserve(connection, now, shop.reserve(key, *names))
        assert isinstance(hold, Hold)
        return capture(connection, now, hold, [True] * len(names))

    return work(shop, act)


def give(shop, amount, ref, **more):
    command = Credit(shop.account.id, amount, ref, **more)
    return work(shop, lambda c, now: add_credit(c, now, command))


def books(shop):
    """Book → sum of its entries, of the account's transactions."""
    query = (
        select(ledger_entry.c.book, func.sum(ledger_entry.c.amount_nanousd))
        .join(ledger_txn, ledger_txn.c.id == ledger_entry.c.txn_id)
        .where(ledger_txn.c.account_id == shop.account.id)
        .group_by(ledger_entry.c.book)
    )
    with shop.database.read() as connection:
        return {book: int(amount) for book, amount in connection.execute(query)}


def require_empty(shop):
    query = select(account_balance).where(account_balance.c.account_id == shop.account.id)
    with shop.database.read() as connection:
        row = connection.execute(query).one()
        assert find_account(connection, shop.account.id).status == "closed"
    assert row.credited_nanousd == row.debited_nanousd == row.drawn_nanousd
    assert (row.held_nanousd, row.credit_limit_nanousd, row.next_expiry_at) == (0, 0, None)
    assert books(shop)[f"customer:{shop.account.id}"] == 0
    found = audit(shop.database)
    assert found.ok, found.violations


def test_what_is_left_is_forfeited_without_a_refund(shop):
    buy(shop, "k", "a", "b")
    closure = close(shop)
    assert (closure.refunded_nanousd, closure.forfeited_nanousd) == (0, 100 * CENT - 200_000)
    assert closure.new
    assert books(shop)["breakage"] == closure.forfeited_nanousd
    require_empty(shop)


def test_what_was_paid_in_goes_back_and_what_was_given_away_does_not(shop):
    give(shop, 3 * CENT, "gift", kind="promo")
    closure = close(shop, "wire 1")
    assert (closure.refunded_nanousd, closure.forfeited_nanousd) == (100 * CENT, 3 * CENT)
    assert books(shop)["adjustments"] == 100 * CENT
    assert books(shop)["breakage"] == 3 * CENT
    require_empty(shop)


def test_an_empty_account_closes_without_a_transaction(shop):
    account = shop.open_account("bob", "0.01")
    adjust = Adjust(account.id, -CENT, "back", "paid back")
    work(shop, lambda c, now: adjust_balance(c, now, adjust))
    closure = close(shop, "wire 1", account.id)
    assert (closure.refunded_nanousd, closure.forfeited_nanousd) == (0, 0)
    assert audit(shop.database).ok


def test_credit_that_is_due_expires_before_the_rest_is_paid_back(shop):
    now = work(shop, lambda c, now: now)
    give(shop, 5 * CENT, "short", expires_at=now + DAY)
    closure = close(shop, "wire 1", at=2 * DAY)
    assert closure.refunded_nanousd == 100 * CENT
    assert closure.forfeited_nanousd == 0
    assert books(shop)["breakage"] == 5 * CENT
    require_empty(shop)


def test_a_request_under_way_keeps_the_account_open(shop):
    work(shop, lambda c, now: reserve(c, now, shop.reserve("k", "a")))
    with pytest.raises(CannotClose, match="1 requests under way: freeze it"):
        close(shop)
    assert audit(shop.database).ok


def test_a_hold_that_is_overdue_does_not(shop):
    hold = work(shop, lambda c, now: reserve(c, now, shop.reserve("k", "a", hold_seconds=0)))
    assert hold.reserved_nanousd
    assert close(shop, at=1).new
    require_empty(shop)


def test_who_owes_money_pays_first(shop):
    def owe(connection, now):
        set_credit_limit(connection, shop.account.id, 50 * CENT)
        hold = reserve(connection, now, shop.reserve("k", *(str(n) for n in range(12_000))))
        assert isinstance(hold, Hold)
        capture(connection, now, hold, [True] * 12_000)

    work(shop, owe)
    with pytest.raises(CannotClose, match=r"owes \$0\.20: book its payment"):
        close(shop)
    give(shop, 20 * CENT, "payment")
    assert close(shop).forfeited_nanousd == 0
    require_empty(shop)


def test_closing_again_changes_nothing(shop):
    first = close(shop, "wire 1")
    for ref in ("wire 1", None):
        again = close(shop, ref)
        assert not again.new
        assert (again.closed_at, again.refunded_nanousd) == (first.closed_at, 100 * CENT)
    with pytest.raises(CannotClose, match="closed already, under wire 1"):
        close(shop, "wire 2")
    require_empty(shop)


def test_a_reference_that_is_taken_is_refused(shop):
    adjust = Adjust(shop.account.id, CENT, "wire 1", "typing error")
    work(shop, lambda c, now: adjust_balance(c, now, adjust))
    with pytest.raises(ReferenceReused):
        close(shop, "wire 1")
    with shop.database.read() as connection:
        assert find_account(connection, shop.account.id).status == "active"
    assert audit(shop.database).ok


def test_a_closed_account_is_given_and_sold_nothing_more(shop, pepper):
    bought = buy(shop, "k", "a")
    key = work(shop, lambda c, now: issue_key(c, now, pepper, shop.account.id))
    close(shop)
    with pytest.raises(AccountFrozen):
        buy(shop, "k2", "b")
    with pytest.raises(AccountClosed):
        give(shop, CENT, "late")
    adjust = Adjust(shop.account.id, CENT, "late", "kindness")
    with pytest.raises(AccountClosed):
        work(shop, lambda c, now: adjust_balance(c, now, adjust))
    refund = Refund(bought.charge_id, None, "late", "kindness")
    with pytest.raises(AccountClosed):
        work(shop, lambda c, now: refund_charge(c, now, refund))
    with shop.database.read() as connection:
        found = find_key(connection, key.key_id)
        assert found is not None
        closure = find_closure(connection, shop.account.id)
        assert closure is not None
        assert found.revoked_at == closure.closed_at
    require_empty(shop)


def test_the_same_credit_sent_again_after_closing_is_still_recognised(shop):
    give(shop, CENT, "once")
    close(shop)
    assert not give(shop, CENT, "once").new


def test_a_closed_account_cannot_be_opened_by_its_status(shop):
    close(shop)
    with pytest.raises(UnknownAccount):
        work(shop, lambda c, _now: set_status(c, shop.account.id, "active"))


def test_a_closing_needs_a_reason_and_an_account(shop):
    command = Close(shop.account.id, "  ")
    with pytest.raises(ValueError, match="say why"):
        work(shop, lambda c, now: close_account(c, now, command))
    with pytest.raises(UnknownAccount):
        close(shop, account_id="acct_none")


CREDITS = st.lists(
    st.tuples(
        st.sampled_from(["credit", "promo"]),
        st.integers(1, 5 * CENT),
        st.one_of(st.none(), st.integers(1, 3)),
    ),
    max_size=5,
)


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(CREDITS, st.integers(0, 900), st.booleans(), st.integers(0, 4))
def test_every_history_ends_at_zero(shop, credits, bought, refunds, days):
    """Any credits, any spending, closed on any day: nothing is left, nothing is made or lost."""
    name = uuid4().hex  # every example has an account of its own
    account = shop.open_account(name, "0.02")
    base = work(shop, lambda c, now: now)

    def trade(connection, now):
        for number, (kind, amount, lasts) in enumerate(credits):
            expires = None if lasts is None else base + lasts * DAY
            command = Credit(account.id, amount, f"{name} {number}", kind, expires)
            add_credit(connection, now, command)
        available = 2 * CENT + sum(amount for _, amount, _ in credits)
        count = min(bought, available // 100_000)
        if count:
            names = [f"{name}{n}" for n in range(count)]
            lines = shop.lines(*(n[-30:] for n in names))
            order = shop.reserve(name, account_id=account.id, lines=lines)
            hold = reserve(connection, now, order)
            assert isinstance(hold, Hold)
            capture(connection, now, hold, [True] * count)

    work(shop, trade)
    closure = close(shop, f"wire {name}" if refunds else None, account.id, at=days * DAY)
    paid = 2 * CENT + sum(amount for kind, amount, _ in credits if kind == "credit")
    assert 0 <= closure.refunded_nanousd <= paid
    assert refunds or closure.refunded_nanousd == 0
    query = select(account_balance).where(account_balance.c.account_id == account.id)
    with shop.database.read() as connection:
        row = connection.execute(query).one()
    assert row.credited_nanousd == row.debited_nanousd == row.drawn_nanousd
    found = audit(shop.database)
    assert found.ok, found.violations
