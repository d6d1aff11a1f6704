"""The number of requests in flight: up by one while it helps, down by a share when it hurts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.acquire.concurrency import START, Aimd, Retries, is_refusal
from client.api import APIConnectionError, APIStatusError, APITimeoutError, Retry


def answer(window: Aimd, now: float, latency: float = 1.0, *, kind: str = "images") -> float:
    """As many answers as are in flight, all of one latency; the time afterwards."""
    for _ in range(window.limit):
        window.answered(kind, began=now, now=now + latency)
    return now + latency


class TestIncrease:
    def test_each_window_of_answers_adds_one_up_to_the_ceiling(self) -> None:
        window, now, seen = Aimd(ceiling=5), 0.0, []
        for _ in range(6):
            seen.append(window.limit)
            now = answer(window, now)
        assert seen == [2, 3, 4, 5, 5, 5]
        assert window.peak == 5

    def test_a_low_ceiling_is_kept_from_the_start(self) -> None:
        window = Aimd(ceiling=1)
        answer(window, 0.0)
        assert (window.limit, window.peak) == (1, 1)

    def test_no_ceiling_is_below_one(self) -> None:
        with pytest.raises(ValueError, match="at least one"):
            Aimd(ceiling=0)


class TestDecrease:
    def test_a_refusal_halves_it_once_for_all_that_were_under_way(self) -> None:
        window, now = Aimd(limit=8), 10.0
        for late in range(8):
            window.refused(began=now, now=now + 1 + late / 1000)
        assert window.limit == 4
        window.refused(began=now + 2, now=now + 3)
        assert window.limit == 2

    def test_what_was_under_way_at_a_refusal_says_nothing_about_what_came_after(self) -> None:
        window = Aimd(limit=4)
        window.refused(began=0.0, now=1.0)
        for _ in range(10):
            window.answered("images", began=0.5, now=2.0)
        assert window.limit == 2

    def test_answers_twice_as_slow_as_ever_take_a_third_away(self) -> None:
        window, now = Aimd(limit=8), 0.0
        now = answer(window, now, 1.0)
        now = answer(window, now, 2.0)
        assert window.limit == 10
        answer(window, now, 2.1)
        assert window.limit == 7
        assert [step.why for step in window.trace] == ["start", "answered", "answered", "slow"]

    def test_one_slow_answer_among_many_changes_nothing(self) -> None:
        window, now = Aimd(limit=5), answer(Aimd(limit=5), 0.0)
        now = answer(window, now)
        window.answered("images", began=now, now=now + 60)
        for _ in range(window.limit - 1):
            window.answered("images", began=now, now=now + 1)
        assert window.limit == 7

    def test_kinds_of_requests_are_not_compared(self) -> None:
        window, now = Aimd(limit=2), 0.0
        now = answer(window, now, 0.1, kind="texts")
        answer(window, now, 5.0, kind="images")
        assert window.limit == 4

    def test_slowness_alone_leaves_two_in_flight_and_refusals_one(self) -> None:
        window, now = Aimd(limit=3), 0.0
        now = answer(window, now, 1.0)
        now = answer(window, now, 9.0)
        assert window.limit == START
        answer(window, now, 90.0)
        assert window.limit == START
        window.refused(began=200.0, now=201.0)
        assert window.limit == 1

    def test_a_vendor_that_became_slower_is_not_starved_for_ever(self) -> None:
        window, now = Aimd(), answer(Aimd(), 0.0)
        now = answer(window, now, 1.0)
        for _ in range(12):
            now = answer(window, now, 5.0)
        assert window.limit > START


@given(
    ceiling=st.integers(1, 40),
    events=st.lists(st.tuples(st.booleans(), st.floats(0, 10), st.floats(0, 10)), max_size=200),
)
def test_it_stays_between_one_and_the_ceiling_whatever_happens(
    ceiling: int, events: list[tuple[bool, float, float]]
) -> None:
    window, now = Aimd(ceiling=ceiling), 0.0
    for refused, ago, later in events:
        now += later
        if refused:
            window.refused(began=now - ago, now=now)
        else:
            window.answered("images", began=now - ago, now=now)
        assert 1 <= window.limit <= window.peak <= ceiling
    assert [step.at for step in window.trace] == sorted(step.at for step in window.trace)


@pytest.mark.parametrize("capacity", [1, 3, 9])
def test_it_settles_at_what_a_vendor_can_work_on_at_once(capacity: int) -> None:
    """A vendor that works on so many requests at once, and queues the others."""
    window, now, seen = Aimd(ceiling=64), 0.0, list[int]()
    for _ in range(200):
        now = answer(window, now, max(1.0, window.limit / capacity))
        seen.append(window.limit)
    settled = seen[100:]
    assert min(settled) >= min(capacity, START)
    assert max(settled) <= 2 * max(capacity, START) + 2


class TestRetries:
    def test_what_is_heard_is_taken_once_and_counted(self) -> None:
        now = [10.0]
        retries = Retries(clock=lambda: now[0])
        retries.hear(Retry(refused(429), took=2.0, delay=0.5))
        (heard,) = retries.take()
        assert (heard.refused, heard.began, heard.ended, heard.again) == (True, 8.0, 10.0, 10.5)
        assert retries.take() == []
        assert retries.count == 1

    @pytest.mark.parametrize(
        ("error", "said"),
        [(429, True), (503, True), (500, False), (409, False), (400, False)],
    )
    def test_which_answers_mean_too_many(self, error: int, said: bool) -> None:
        assert is_refusal(refused(error)) == said

    def test_a_vendor_that_names_a_wait_or_takes_too_long_means_it_too(self) -> None:
        assert is_refusal(refused(500, {"retry-after": "2"}))
        assert is_refusal(APITimeoutError("late"))
        assert not is_refusal(APIConnectionError("gone"))


def refused(status: int, headers: dict[str, str] | None = None) -> APIStatusError:
    return APIStatusError(
        "no", status_code=status, headers=headers or {}, problem=None, request_id=None
    )
