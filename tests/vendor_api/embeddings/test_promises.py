"""Refused callers have a place in time: simulated rushes, and each rule alone."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.vendor_api.embeddings.rush import Rush, Story
from vendor_api.embeddings.promises import (
    GRACE_S,
    HORIZON_S,
    LAST_CALL,
    Caller,
    Load,
    Promises,
    Refused,
)

ITEM_MS = 20.0
RATE = 1000 / ITEM_MS
"""Items a second that the simulated engine can do."""


def rush_in(
    rush: Rush,
    chance: random.Random,
    *,
    load: float,
    seconds: float,
    bursts: bool,
    accounts: int,
    start: float = 0.0,
) -> None:
    """Callers at `load` times what can be served: a Poisson stream, or 50 at the same moment."""
    now, size = start, 50 if bursts else 1
    while now < start + seconds:
        now += chance.expovariate(load * RATE / size)
        for _ in range(size):
            rush.call(now, account=f"account {chance.randrange(accounts)}")


class TestRushes:
    @settings(max_examples=25, deadline=None)
    @given(
        st.integers(0, 2**32),
        st.floats(2, 6),
        st.floats(0.85, 1.15),
        st.booleans(),
        st.sampled_from([1, 4]),
    )
    def test_all_are_served_at_the_moment_they_were_told(
        self, seed: int, load: float, belief: float, bursts: bool, accounts: int
    ) -> None:
        chance = random.Random(seed)
        rush = Rush(item_ms=ITEM_MS, belief=belief, late=lambda: 0.05 * chance.random())
        rush_in(rush, chance, load=load, seconds=8, bursts=bursts, accounts=accounts)
        rush.run()
        assert rush.share_after(1) >= 0.95
        assert rush.share_after(LAST_CALL) == 1
        assert rush.use() >= 0.9

    @settings(max_examples=15, deadline=None)
    @given(st.integers(0, 2**32), st.floats(0.3, 3), st.booleans())
    def test_however_wrong_the_estimates_are_three_returns_are_enough(
        self, seed: int, belief: float, bursts: bool
    ) -> None:
        chance = random.Random(seed)
        rush = Rush(item_ms=ITEM_MS, belief=belief, late=lambda: 0.05 * chance.random())
        rush_in(rush, chance, load=4, seconds=6, bursts=bursts, accounts=3)
        assert rush.run().share_after(LAST_CALL) == 1

    @pytest.mark.parametrize("lateness", [0.05, 1.0])
    def test_four_times_the_load(self, lateness: float) -> None:
        chance = random.Random(1)
        rush = Rush(item_ms=ITEM_MS, late=lambda: lateness * chance.random())
        rush_in(rush, chance, load=4, seconds=8, bursts=False, accounts=1)
        rush.run()
        assert rush.share_after(0) < 0.5
        assert rush.share_after(1) == 1
        assert rush.use() >= 0.99

    @pytest.mark.parametrize("seconds", [8, 20])
    def test_a_rush_that_slows_the_engine_leaves_it_no_idle_time_afterwards(
        self, seconds: int
    ) -> None:
        chance = random.Random(1)
        rush = Rush(item_ms=ITEM_MS, late=lambda: 0.05 * chance.random(), toll_ms=1.2)
        for number in range(600):  # its best pace is seen first: a queue that never ends
            rush.call(max(0, number - 30) / RATE)
        calm = len(rush.stories)
        rush_in(rush, chance, load=4, seconds=seconds, bursts=False, accounts=1, start=12)
        rush.run()
        rushed = rush.stories[calm:]
        assert sum(story.refusals <= 1 for story in rushed) >= 0.95 * len(rushed)
        # What its items and the refusals took of it, and next to nothing for waiting.
        needed = len(rushed) / RATE + sum(story.refusals for story in rushed) * 1.2 / 1000
        assert needed / (max(story.done or 0 for story in rushed) - 12) >= 0.95

    def test_lists_follow_the_same_rule(self) -> None:
        chance = random.Random(3)
        rush = Rush(item_ms=ITEM_MS, bound_ms=5000)
        now = 0.0
        while now < 20:
            items = chance.choice([1, 1, 1, 1, 16, 256])
            now += chance.expovariate(4 * RATE / items)
            rush.call(now, items=items)
        rush.run()
        assert rush.share_after(LAST_CALL) == 1
        assert rush.share_after(1) >= 0.9

    @pytest.mark.parametrize("returns", [0, 9])
    def test_a_flood_delays_its_own_account_only(self, returns: int) -> None:
        chance = random.Random(5)
        rush = Rush(item_ms=ITEM_MS)
        for number in range(2000):
            rush.call(number / (4 * RATE), account="flood", returns=returns)
        light = [rush.call(chance.uniform(0, 10), account="light") for _ in range(20)]
        rush.run()
        assert max(each.refusals for each in light) <= 1
        assert max(_wait(each) for each in light) < 3
        assert rush.use() > 0.9

    def test_two_floods_share(self) -> None:
        rush = Rush(item_ms=ITEM_MS)
        for number in range(1500):
            rush.call(number / (3 * RATE), account="first")
            rush.call(2 + number / (3 * RATE), account="second")
        rush.run()
        waits = {
            name: sorted(_wait(each) for each in rush.stories if each.account == name)[750]
            for name in ("first", "second")
        }
        assert waits["second"] < 1.6 * waits["first"]
        assert rush.share_after(LAST_CALL) == 1

    def test_an_engine_whose_promised_callers_stay_away_serves_newcomers(self) -> None:
        rush = Rush(item_ms=ITEM_MS)
        for number in range(4000):
            rush.call(number / (4 * RATE), returns=0)
        rush.run()
        assert rush.machine.busy_s > 0.98 * 20


def _wait(story: Story) -> float:
    assert story.done is not None
    return story.done - story.asked


FULL = Load(backlog=2000, bound=2000)
HALF = Load(backlog=1000, bound=2000)
TIMES = (0.0, 0.33, 1.01, 2.6)


def caller(number: int = 0, account: str = "ada") -> Caller:
    return Caller(account, number.to_bytes(4, "big"))


def refuse(
    promises: Promises, who: Caller, load: Load = FULL, now: float = 0.0, work: float = 100
) -> Refused:
    refused = promises.ask(who, work, load, now)
    assert refused is not None
    return refused


class TestRules:
    def test_who_fits_comes_in(self) -> None:
        promises = Promises()
        assert promises.ask(caller(), 1900, Load(100, 2000), 0) is None
        assert len(promises) == 0

    def test_an_idle_engine_takes_a_request_of_any_size(self) -> None:
        assert Promises().ask(caller(), 1e6, Load(0, 2000), 0) is None

    def test_refused_callers_are_told_one_beat_after_the_other(self) -> None:
        promises = Promises()
        told = [refuse(promises, caller(number)).delay_s for number in range(5)]
        # When half of the queue is done, and a quarter of its own turn: 1.025, 1.125 s …
        assert told == pytest.approx([1.25, 1.25, 1.25, 1.5, 1.5])

    def test_beats_are_the_same_for_who_comes_later(self) -> None:
        promises = Promises()
        dues = {now + refuse(promises, caller(int(100 * now)), now=now).delay_s for now in TIMES}
        assert all(due == pytest.approx(round(4 * due) / 4) for due in dues)

    def test_a_short_queue_has_short_beats(self) -> None:
        told = refuse(Promises(), caller(), Load(80, 80), work=4).delay_s
        assert told == pytest.approx(0.05)

    def test_a_faster_engine_shortens_the_wait(self) -> None:
        assert refuse(Promises(), caller(), Load(2000, 2000, pace=2)).delay_s == pytest.approx(
            0.625
        )

    @pytest.mark.parametrize(
        ("backlog", "lasted", "told"),
        [
            (2500, 120, 6.0),
            (3000, 120, 8.5),
            (3500, 120, 13.0),
            (3500, 8, 7.5),  # two seconds more at half the pace, then all of it
            (3500, 0, 6.5),
        ],
    )
    def test_turns_are_counted_at_the_best_pace_unless_the_queue_overfills_in_a_long_rush(
        self, backlog: float, lasted: int, told: float
    ) -> None:
        promises = Promises()
        for second in range(lasted):
            refuse(promises, caller(2 + second), now=second, work=1e-6)
        refuse(promises, caller(0), Load(2000, 2000), now=lasted, work=10_474)
        load = Load(backlog, 2000, pace=1, best=2)
        refused = refuse(promises, caller(1), load, now=lasted)
        assert refused.delay_s == pytest.approx(told)

    def test_a_rush_is_over_when_nobody_was_refused_for_a_while(self) -> None:
        promises = Promises()
        for second in range(120):
            refuse(promises, caller(2 + second), now=second, work=1e-6)
        load = Load(3499, 2000, pace=1, best=2)
        first = refuse(promises, caller(0), load, now=120, work=1e-6).delay_s
        later = refuse(promises, caller(1), load, now=123, work=1e-6).delay_s
        assert (first, later) == (2.5, 1.25)

    def test_who_comes_back_when_told_comes_in_before_newcomers(self) -> None:
        promises = Promises()
        due = refuse(promises, caller(1)).delay_s
        for number in range(2, 20):
            refuse(promises, caller(number))
        refuse(promises, caller(99), HALF, due)
        assert promises.ask(caller(1), 100, HALF, due) is None
        assert promises.ask(caller(1), 100, HALF, due) is not None  # once

    def test_who_comes_too_early_is_told_the_same_moment(self) -> None:
        promises = Promises()
        due = refuse(promises, caller(1)).delay_s
        refuse(promises, caller(2))
        again = refuse(promises, caller(1), now=0.4)
        assert again.delay_s == pytest.approx(due - 0.4)
        assert len(promises) == 2

    def test_who_comes_too_late_is_a_newcomer(self) -> None:
        promises = Promises()
        first = refuse(promises, caller(1))
        late = first.delay_s + GRACE_S + 0.1
        again = refuse(promises, caller(1), now=late)
        assert 1.025 <= again.delay_s <= 1.275  # not behind its own old promise

    def test_a_promised_caller_may_overfill_the_queue_more_at_each_return(self) -> None:
        promises, now = Promises(), 0.0
        for times in range(1, LAST_CALL):
            now += refuse(promises, caller(), Load(2000.0 * (times + 1), 2000), now).delay_s
        now += refuse(promises, caller(), Load(6000, 2000), now).delay_s
        assert promises.ask(caller(), 100, Load(1e5, 2000), now) is None

    def test_what_was_not_promised_does_not_count_as_a_promise(self) -> None:
        promises = Promises()
        refused = refuse(promises, caller(), Load(2000 + 1000 * HORIZON_S, 2000))
        assert refused == Refused(HORIZON_S, promised=False)
        assert len(promises) == 0

    def test_an_account_stands_behind_no_more_of_anothers_than_it_has(self) -> None:
        promises = Promises()
        for number in range(100):
            refuse(promises, caller(number, "flood"))
        assert refuse(promises, caller(0, "light")).delay_s == pytest.approx(1.25)
        assert refuse(promises, caller(100, "flood")).delay_s > 10

    def test_memory_is_bounded_and_no_account_takes_all_of_it(self) -> None:
        promises = Promises(max_promises=100)
        promised = [refuse(promises, caller(n, "flood"), work=1).promised for n in range(300)]
        assert sum(promised) == len(promises) == 50
        assert refuse(promises, caller(0, "light")).promised
        for number in range(10_000):
            account = f"account {number % 50}"
            promises.ask(caller(number, account), 1, FULL, number / 1000)
            assert len(promises) <= 100
            assert promises.entries <= 2 * len(promises) + 64
