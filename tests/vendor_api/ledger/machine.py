"""Plays commands on the ledger's functions and on the oracle, and compares after every one.

Time is an argument, so that months pass at once. Each play is one transaction that is rolled back
in the end, each command a savepoint, as in the writer.
"""

import itertools
import os
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
)
from sqlalchemy import func, select, text, update

from tests.vendor_api.ledger.oracle import FOREVER, PRICE, Oracle
from vendor_api.db import as_microseconds
from vendor_api.db.clock import DAY, HOUR, SECOND
from vendor_api.db.tables import account_balance, cap_window, charge
from vendor_api.ledger import caps, credits, reservation
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.audit import find_violations
from vendor_api.ledger.capture import capture
from vendor_api.ledger.commands import Adjust, Credit, Hold, LedgerError, Refund
from vendor_api.ledger.corrections import adjust_balance, refund_charge
from vendor_api.ledger.rules import OVERDUE

START = as_microseconds(datetime(2027, 1, 31, 23, 59, 0, tzinfo=UTC))
KEYS, NAMES = ("k0", "k1", "k2"), ("a", "b", "c", "d")
EXAMPLES = {"nightly": 2000}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 200)
SETTINGS = settings(
    max_examples=EXAMPLES,
    stateful_step_count=30,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

key = st.sampled_from(KEYS)
amount = st.integers(1, 5).map(lambda n: n * PRICE) | st.integers(1, 3 * PRICE)
lifetime = st.sampled_from([1, 30 * SECOND, 60 * SECOND, HOUR, DAY])


class Play(RuleBasedStateMachine):
    """One customer's history. Key k_i always asks for the items names[i:]."""

    def __init__(self, shop, key_id):
        super().__init__()
        self.shop, self.key_id = shop, key_id
        self.refs = itertools.count()
        self.holds = {}
        self.crashing = False
        self.connection = shop.database.writing.connect()
        self.transaction = self.connection.begin()
        self.owner = create_account(self.connection, START, "eve").id
        self.oracle = Oracle(START)

    def teardown(self):
        if self.connection.dialect.name == "postgresql":
            self.connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        self.transaction.rollback()
        self.connection.close()

    @property
    def now(self):
        return self.oracle.now

    def perform(self, work, expect):
        """`work` on the ledger, `expect` on the oracle; neither leaves a trace when we crash."""
        crashing, self.crashing = self.crashing, False
        savepoint = self.connection.begin_nested()
        try:
            outcome = work()
        except LedgerError as error:
            outcome = error
        if crashing:
            savepoint.rollback()
            return None
        expected = expect()
        if isinstance(outcome, LedgerError):
            savepoint.rollback()
        else:
            savepoint.commit()
        if expected is not None:
            assert type(outcome) is expected, (outcome, expected)
        elif isinstance(outcome, LedgerError):
            raise AssertionError from outcome
        return outcome

    @initialize(limit=st.sampled_from([0, 0, 3 * PRICE]), credit=amount)
    def open(self, limit, credit):
        statement = update(account_balance).where(account_balance.c.account_id == self.owner)
        self.connection.execute(statement.values(credit_limit_nanousd=limit))
        self.oracle.limit = limit
        self.credit(credit, "credit", None)

    @rule(amount=amount, kind=st.sampled_from(["credit", "promo"]), lifetime=st.none() | lifetime)
    def credit(self, amount, kind, lifetime):
        expires = None if lifetime is None else self.now + lifetime
        command = Credit(self.owner, amount, f"{next(self.refs)}", kind, expires)
        self.perform(
            lambda: credits.add_credit(self.connection, self.now, command),
            lambda: self.oracle.credit(amount, expires or FOREVER),
        )

    @rule(key=key, seconds=st.sampled_from([0, 90, 90, 90, 7200]))
    def reserve(self, key, seconds):
        names = NAMES[KEYS.index(key) :]
        command = self.shop.reserve(
            key, *names, account_id=self.owner, key_id=self.key_id, hold_seconds=seconds
        )
        outcome = self.perform(
            lambda: reservation.reserve(self.connection, self.now, command),
            lambda: self.oracle.reserve(key, len(names), seconds),
        )
        if isinstance(outcome, Hold):
            self.holds.setdefault(key, []).append(outcome)

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), delivered=st.lists(st.booleans(), min_size=4, max_size=4))
    def capture(self, data, delivered):
        key, hold = self.pick(data)
        names = NAMES[KEYS.index(key) :]
        outcomes = delivered[: len(names)]
        given = [name for name, done in zip(names, outcomes, strict=True) if done]
        self.perform(
            lambda: capture(self.connection, self.now, hold, outcomes),
            lambda: self.oracle.capture(key, hold.epoch, given),
        )

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), final=st.sampled_from([False, False, True]))
    def release(self, data, final):
        key, hold = self.pick(data)
        state = "released_final" if final else "released"
        self.perform(
            lambda: reservation.release(self.connection, hold, final=final),
            lambda: self.oracle.release(key, hold.epoch, state),
        )

    def pick(self, data):
        """Any hold there ever was, mostly a key's latest."""
        key = data.draw(st.sampled_from(sorted(self.holds)))
        return key, data.draw(st.sampled_from(self.holds[key][::-1]))

    @rule()
    def sweep(self):
        self.perform(
            lambda: reservation.expire(self.connection, self.now, account_id=self.owner),
            self.oracle.sweep,
        )

    @precondition(lambda self: self.holds)
    @rule(data=st.data(), amount=st.none() | amount)
    def refund(self, data, amount):
        key, hold = self.pick(data)
        command = Refund(hold.charge_id, amount, f"{next(self.refs)}", "was blurred")
        self.perform(
            lambda: refund_charge(self.connection, self.now, command),
            lambda: self.oracle.refund(key, amount),
        )

    @rule(amount=amount, sign=st.sampled_from([1, -1]))
    def adjust(self, amount, sign):
        command = Adjust(self.owner, sign * amount, f"{next(self.refs)}", "typing error")
        self.perform(
            lambda: adjust_balance(self.connection, self.now, command),
            lambda: self.oracle.adjust(sign * amount),
        )

    @rule(
        kind=st.sampled_from(caps.KINDS),
        window=st.sampled_from(caps.WINDOWS),
        items=st.none() | st.integers(2, 12),
    )
    def cap(self, kind, window, items):
        cap = items if items is None or kind == "items" else items * PRICE
        caps.set_cap(self.connection, self.key_id, kind, window, cap)
        if cap is None:
            self.oracle.caps.pop((kind, window), None)
        else:
            self.oracle.caps[kind, window] = cap

    @rule(step=st.sampled_from([1, SECOND, 60 * SECOND, HOUR, DAY, 31 * DAY]))
    def advance(self, step):
        self.oracle.advance(step)

    @rule()
    def crash(self):
        self.crashing = True

    @invariant()
    def books_are_right(self):
        broken = [v for v in find_violations(self.connection, self.now) if v.rule != OVERDUE]
        assert broken == []

    @invariant()
    def ledger_is_where_the_oracle_is(self):
        # What was due until now shows once the account is touched; then forget that we looked.
        savepoint = self.connection.begin_nested()
        credits.expire_due(self.connection, self.now, self.owner)
        seen = (self.read_balance(), self.read_grants(), self.read_charges(), self.read_windows())
        savepoint.rollback()
        oracle = self.oracle
        assert seen[0] == (oracle.credited, oracle.debited, oracle.held)
        assert seen[1] == [grant.left for grant in oracle.grants]
        assert seen[2] == {
            key: (each.state, each.epoch, each.cost, each.refunded)
            for key, each in oracle.charges.items()
        }
        assert seen[3] == {key: counts for key, counts in oracle.windows.items() if any(counts)}

    def read_balance(self):
        columns = ("credited_nanousd", "debited_nanousd", "held_nanousd")
        query = select(*(account_balance.c[name] for name in columns))
        return tuple(
            self.connection.execute(query.where(account_balance.c.account_id == self.owner)).one()
        )

    def read_grants(self):
        grants = credits.list_grants(self.connection, self.owner)
        return [grant.remaining_nanousd for grant in sorted(grants, key=lambda grant: grant.id)]

    def read_charges(self):
        query = select(charge).where(charge.c.account_id == self.owner)
        return {
            row.idempotency_key: (row.state, row.epoch, row.cost_nanousd, row.refunded_nanousd)
            for row in self.connection.execute(query)
        }

    def read_windows(self):
        query = select(cap_window).where(func.abs(cap_window.c.used) + cap_window.c.held > 0)
        return {
            (row.kind, row.window, row.starts_at): [row.used, row.held]
            for row in self.connection.execute(query)
        }
