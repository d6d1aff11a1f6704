"""Plays commands on the ledger's functions and on the oracle, and compares after every one.

Time is an argument, so that months pass at once. Each play is one transaction that is rolled back
in the end, each command a savepoint, as in the writer.
"""

import itertools
import os
from datetime import UTC, datetime

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from sqlalchemy import func, select, text

from tests.vendor_api.ledger.oracle import FOREVER, PRICE, Oracle
from vendor_api.db import as_microseconds
from vendor_api.db.clock import DAY, HOUR, SECOND
from vendor_api.db.tables import account_balance, cap_window, charge
from vendor_api.ledger import caps, credits, reservation
from vendor_api.ledger.accounts import create_account
from vendor_api.ledger.audit import find_violations
from vendor_api.ledger.caps import KINDS, WINDOWS
from vendor_api.ledger.capture import capture
from vendor_api.ledger.commands import Adjust, Credit, Hold, LedgerError, Refund
from vendor_api.ledger.corrections import adjust_balance, refund_charge
from vendor_api.ledger.rules import OVERDUE

START = as_microseconds(datetime(2027, 1, 31, 23, 59, 0, tzinfo=UTC))
# Each key asks for something of its own and for something that others ask for too.
REQUESTS = {
    f"k{n}": ("a", "b", "c")[: n % 3] + tuple(f"{n}.{i}" for i in range(1 + n % 4))
    for n in range(10)
}
STEPS = 30
EXAMPLES = {"nightly": 2000, "glance": 20}.get(os.environ.get("HYPOTHESIS_PROFILE", ""), 200)
SETTINGS = settings(
    max_examples=EXAMPLES,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=list(HealthCheck),
)

key = st.sampled_from(sorted(REQUESTS))
amount = st.integers(1, 9).map(lambda n: n * PRICE) | st.integers(1, 3 * PRICE)
lifetime = st.sampled_from([1, 30 * SECOND, 60 * SECOND, 61 * SECOND, HOUR])
step = st.sampled_from([1, 30 * SECOND, 60 * SECOND, HOUR, DAY, 31 * DAY])
kind = st.sampled_from(["credit", "promo"])
cap = st.none() | st.integers(0, 8)
hold = st.integers(0, 99)
delivered = st.lists(st.booleans(), min_size=6, max_size=6) | st.just([True] * 6)
WEIGHTED = {
    st.tuples(st.just("credit"), amount, kind, st.none()): 2,
    st.tuples(st.just("credit"), amount, kind, lifetime): 3,
    st.tuples(st.just("reserve"), key, st.sampled_from([0, 90, 7200, 7200])): 6,
    st.tuples(st.just("capture"), hold, delivered): 5,
    st.tuples(st.just("release"), hold, st.sampled_from([False, False, True])): 2,
    st.tuples(st.just("sweep")): 1,
    st.tuples(st.just("refund"), hold, st.none() | amount): 1,
    st.tuples(st.just("adjust"), amount, st.sampled_from([1, -1])): 1,
    st.tuples(st.just("cap"), st.sampled_from(KINDS), st.sampled_from(WINDOWS), cap): 1,
    st.tuples(st.just("advance"), step): 2,
    st.tuples(st.just("reach"), st.sampled_from([-1, 0, 0, 1])): 3,
    st.tuples(st.just("crash")): 1,
}
command = st.one_of([each for each, weight in WEIGHTED.items() for _ in range(weight)])
history = st.tuples(
    st.sampled_from([0, 8 * PRICE]), st.lists(command, min_size=STEPS, max_size=STEPS)
)


class Play:
    """One customer's history on the ledger and on the oracle."""

    def __init__(self, shop, key_id, limit):
        self.shop, self.key_id = shop, key_id
        self.refs = itertools.count()
        self.holds = []
        self.crashing = False
        self.connection = shop.database.writing.connect()
        self.transaction = self.connection.begin()
        self.owner = create_account(self.connection, START, "eve", credit_limit_nanousd=limit).id
        self.oracle = Oracle(START, limit=limit)

    def run(self, commands):
        try:
            for name, *arguments in commands:
                getattr(self, name)(*arguments)
                self.require_right_books()
                self.compare()
            if self.connection.dialect.name == "postgresql":
                self.connection.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        finally:
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

    def credit(self, amount, kind, lifetime):
        expires = None if lifetime is None else self.now + lifetime
        command = Credit(self.owner, amount, f"{next(self.refs)}", kind, expires)
        self.perform(
            lambda: credits.add_credit(self.connection, self.now, command),
            lambda: self.oracle.credit(amount, expires or FOREVER),
        )

    def reserve(self, key, seconds):
        names = REQUESTS[key]
        command = self.shop.reserve(
            key, *names, account_id=self.owner, key_id=self.key_id, hold_seconds=seconds
        )
        outcome = self.perform(
            lambda: reservation.reserve(self.connection, self.now, command),
            lambda: self.oracle.reserve(key, len(names), seconds),
        )
        if isinstance(outcome, Hold):
            self.holds.append((key, outcome))

    def capture(self, choice, delivered):
        if not self.holds:
            return
        key, hold = self.pick(choice)
        names = REQUESTS[key]
        outcomes = delivered[: len(names)]
        given = [name for name, done in zip(names, outcomes, strict=True) if done]
        self.perform(
            lambda: capture(self.connection, self.now, hold, outcomes),
            lambda: self.oracle.capture(key, hold.epoch, given),
        )

    def release(self, choice, final):
        if not self.holds:
            return
        key, hold = self.pick(choice)
        state = "released_final" if final else "released"
        self.perform(
            lambda: reservation.release(self.connection, hold, final=final),
            lambda: self.oracle.release(key, hold.epoch, state),
        )

    def pick(self, choice):
        """Mostly what is held now, sometimes any hold there ever was."""
        charges = self.oracle.charges
        held = [
            (key, hold)
            for key, hold in self.holds
            if (charges[key].state, charges[key].epoch) == ("held", hold.epoch)
        ]
        among = held if held and choice % 5 else self.holds
        return among[choice % len(among)]

    def sweep(self):
        self.perform(
            lambda: reservation.expire(self.connection, self.now, account_id=self.owner),
            self.oracle.sweep,
        )

    def refund(self, choice, amount):
        if not self.holds:
            return
        key, hold = self.holds[choice % len(self.holds)]
        command = Refund(hold.charge_id, amount, f"{next(self.refs)}", "was blurred")
        self.perform(
            lambda: refund_charge(self.connection, self.now, command),
            lambda: self.oracle.refund(key, amount),
        )

    def adjust(self, amount, sign):
        command = Adjust(self.owner, sign * amount, f"{next(self.refs)}", "typing error")
        self.perform(
            lambda: adjust_balance(self.connection, self.now, command),
            lambda: self.oracle.adjust(sign * amount),
        )

    def cap(self, kind, window, items):
        cap = items if items is None or kind == "items" else items * PRICE
        caps.set_cap(self.connection, self.key_id, kind, window, cap)
        if cap is None:
            self.oracle.caps.pop((kind, window), None)
        else:
            self.oracle.caps[kind, window] = cap

    def advance(self, step):
        self.oracle.advance(step)

    def reach(self, beyond):
        """To the next expiry of credit, or a microsecond beside it."""
        coming = [
            grant.expires for grant in self.oracle.grants if self.now < grant.expires < FOREVER
        ]
        self.advance(max(0, min(coming, default=self.now) - self.now + beyond))

    def crash(self):
        self.crashing = True

    def require_right_books(self):
        broken = [v for v in find_violations(self.connection, self.now) if v.rule != OVERDUE]
        assert broken == []

    def compare(self):
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
