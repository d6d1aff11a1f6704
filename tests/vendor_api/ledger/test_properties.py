"""Any sequence of commands leaves the ledger where a small oracle says it should be."""

import asyncio
import itertools
from dataclasses import dataclass, field
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from shared.money import format_usd, parse_usd
from vendor_api.ledger import Ledger
from vendor_api.ledger.commands import (
    REPLAYS_PER_DAY,
    Hold,
    HoldLost,
    InsufficientCredit,
    LedgerError,
    NothingValid,
    Replay,
    ReplayLimit,
    RequestInFlight,
)

KEYS, NAMES = ("k0", "k1", "k2"), ("a", "b", "c", "d")
CREDIT = parse_usd("0.0008")
PRICE = 100_000

_fresh = itertools.count()

key = st.sampled_from(KEYS)
operation = st.one_of(
    st.tuples(st.just("reserve"), key, st.booleans()),
    st.tuples(st.just("capture"), key, st.lists(st.booleans(), min_size=4, max_size=4)),
    st.tuples(st.just("release"), key, st.booleans()),
    st.tuples(st.just("late capture"), key, st.none()),
    st.tuples(st.just("sweep"), key, st.none()),
    st.tuples(st.just("credit"), key, st.integers(1, 200_000)),
)


@dataclass
class Entry:
    state: str
    epoch: int
    overdue: bool
    replays: int = 0


@dataclass
class Oracle:
    """What the rules say, without a database. Key k_i always asks for the items names[i:]."""

    credited: int = CREDIT
    debited: int = 0
    refs: set[str] = field(default_factory=set)
    bought: set[str] = field(default_factory=set)
    entries: dict[str, Entry] = field(default_factory=dict)

    def names(self, key):
        return NAMES[KEYS.index(key) :]

    def amount(self, key):
        return len(self.names(key)) * PRICE

    @property
    def held(self):
        return sum(self.amount(k) for k, entry in self.entries.items() if entry.state == "held")

    def reserve(self, key, overdue):
        entry = self.entries.get(key)
        if entry and entry.state == "captured":
            entry.replays += 1
            return ReplayLimit if entry.replays > REPLAYS_PER_DAY else Replay
        if entry and entry.state == "released_final":
            return NothingValid
        if entry and entry.state == "held" and not entry.overdue:
            return RequestInFlight
        own = self.amount(key) if entry and entry.state == "held" else 0
        if self.credited - self.debited - self.held + own < self.amount(key):
            return InsufficientCredit
        self.entries[key] = Entry("held", entry.epoch + 1 if entry else 1, overdue)
        return Hold

    def capture(self, key, delivered):
        entry = self.entries.get(key)
        if entry is None or entry.state != "held":
            return HoldLost
        entry.state = "captured"
        given = {name for name, done in zip(self.names(key), delivered, strict=False) if done}
        self.debited += PRICE * len(given - self.bought)
        self.bought |= given
        return None

    def release(self, key, final):
        entry = self.entries.get(key)
        if entry is None or entry.state != "held":
            return HoldLost
        entry.state = "released_final" if final else "released"
        return None

    def sweep(self):
        for entry in self.entries.values():
            if entry.state == "held" and entry.overdue:
                entry.state = "expired"

    def credit(self, key, amount):
        if key not in self.refs:
            self.credited += amount
            self.refs.add(key)


@dataclass
class Play:
    """Carries out operations on the ledger and on the oracle, and compares."""

    ledger: Ledger
    shop: Any
    owner: str
    oracle: Oracle = field(default_factory=Oracle)
    holds: dict[str, list[Hold]] = field(default_factory=dict)
    amounts: dict[str, int] = field(default_factory=dict)

    async def attempt(self, call):
        try:
            return await call
        except LedgerError as error:
            return error

    async def step(self, name, key, argument):
        outcome, expected = await getattr(self, name.replace(" ", "_"))(key, argument)
        if expected is not None:
            assert type(outcome) is expected, (name, key, outcome, expected)
        elif isinstance(outcome, LedgerError):
            raise AssertionError((name, key)) from outcome
        await self.compare()

    async def reserve(self, key, overdue):
        command = self.shop.reserve(
            key,
            *self.oracle.names(key),
            account_id=self.owner,
            hold_seconds=0 if overdue else 90,
        )
        outcome = await self.attempt(self.ledger.reserve(command))
        if isinstance(outcome, Hold):
            self.holds.setdefault(key, []).append(outcome)
        return outcome, self.oracle.reserve(key, overdue)

    async def capture(self, key, delivered):
        if key not in self.holds:
            return None, None
        call = self.ledger.capture(self.holds[key][-1], delivered[: len(self.oracle.names(key))])
        return await self.attempt(call), self.oracle.capture(key, delivered)

    async def release(self, key, final):
        if key not in self.holds:
            return None, None
        call = self.ledger.release(self.holds[key][-1], final=final)
        return await self.attempt(call), self.oracle.release(key, final)

    async def late_capture(self, key, _):
        if len(self.holds.get(key, [])) < 2:
            return None, None
        stale = self.holds[key][-2]
        return await self.attempt(self.ledger.capture(stale, [True] * len(stale.lines))), HoldLost

    async def sweep(self, key, _):
        self.oracle.sweep()
        return await self.attempt(self.ledger.sweep()), None

    async def credit(self, key, amount):
        amount = self.amounts.setdefault(key, amount)
        self.oracle.credit(key, amount)
        call = self.ledger.credit(self.owner, amount, f"{self.owner} {key}")
        return await self.attempt(call), None

    async def compare(self):
        balance = await self.ledger.balance(self.owner)
        oracle = self.oracle
        assert balance.credited_usd == format_usd(oracle.credited)
        assert balance.debited_usd == format_usd(oracle.debited)
        assert balance.held_usd == format_usd(oracle.held)
        states = {c.idempotency_key: c.state for c in (await self.ledger.charges(self.owner)).data}
        assert states == {key: entry.state for key, entry in oracle.entries.items()}


@pytest.mark.parametrize("engine", ["sqlite", "postgres"])
def test_every_history_matches_the_oracle(request, make_shop, engine):
    url = request.getfixturevalue(f"{engine}_url")
    shop = make_shop(url)

    async def replay(ledger, history):
        owner = shop.open_account(f"customer {next(_fresh)}", "0.0008").id
        play = Play(ledger, shop, owner)
        for step in history:
            await play.step(*step)
        audit = await ledger.verify()
        assert audit.ok, audit.violations

    @settings(
        max_examples=30,
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(st.lists(operation, max_size=12))
    def check(history):
        runner.run(replay(ledger, history))

    with asyncio.Runner() as runner:
        ledger = Ledger.open(url)
        try:
            check()
        finally:
            runner.run(ledger.close())
