"""The last seconds of a process: sums, rates, percentiles, by a clock of the test's own."""

import math
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from vendor_api.pulse import GROWTH, KEPT_S, Pulse, is_sale


class Clock:
    """Seconds that the test lets pass."""

    def __init__(self, now: float = 1_790_000_000.0) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def answer(pulse: Pulse, status: int = 200, seconds: float = 0.01) -> None:
    pulse.begin()
    pulse.end(status, seconds)


def test_a_second_counts_once_it_is_over_and_for_a_minute() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    answer(pulse)
    assert pulse.window().sums.answers == 0
    clock.now += 1
    assert pulse.window().sums.answers == 1
    clock.now += 59
    assert pulse.window().sums.answers == 1
    clock.now += 1
    assert pulse.window().sums.answers == 0


def test_just_after_the_start_a_rate_is_over_the_seconds_watched() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    assert pulse.window().seconds == 1
    clock.now += 10
    assert pulse.window().seconds == 10
    clock.now += 1000
    assert pulse.window().seconds == 60


def test_refusals_and_failures_are_told_apart_and_a_lost_connection_is_no_answer() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    for status in (200, 402, 429, 500, 503, 0):
        answer(pulse, status)
    clock.now += 1
    sums = pulse.window().sums
    assert (sums.answers, sums.refusals, sums.failures) == (5, 2, 2)
    assert sums.steps.total() == 5


def test_requests_under_way_are_counted_until_they_end() -> None:
    pulse = Pulse(Clock())
    pulse.begin()
    pulse.begin()
    pulse.end(200, 1.0)
    assert pulse.window().in_flight == 1


def test_batches_and_items_are_summed() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    pulse.note_batch(12, 16)
    pulse.note_batch(64, 64)
    pulse.note_items(76)
    clock.now += 1
    sums = pulse.window().sums
    assert (sums.batches, sums.batch_items, sums.batch_room, sums.items) == (2, 76, 80, 76)


def test_the_ring_forgets_what_it_writes_over() -> None:
    clock = Clock()
    pulse = Pulse(clock)
    answer(pulse)
    clock.now += KEPT_S
    answer(pulse)
    clock.now += 1
    assert pulse.window(KEPT_S - 1).sums.answers == 1


def test_history_has_a_point_for_every_step_and_loses_nothing_between_them() -> None:
    clock = Clock(1_790_000_003.0)
    pulse = Pulse(clock)
    for _ in range(100):
        answer(pulse)
        clock.now += 1
    points = list(pulse.history(5))
    assert [b.at - a.at for a, b in pairwise(points)] == [5] * (len(points) - 1)
    assert len(points) == KEPT_S // 5 - 1
    assert all(point.at % 5 == 0 for point in points)
    whole = 100 - (1_790_000_103 % 5)  # the step that has only begun is left out
    assert sum(point.answers for point in points) == whole


@given(
    st.lists(st.floats(0.0002, 100), min_size=1, max_size=200),
    st.sampled_from([0.5, 0.95, 0.99, 1.0]),
)
def test_a_percentile_is_within_its_step(seconds: list[float], share: float) -> None:
    clock = Clock()
    pulse = Pulse(clock)
    for each in seconds:
        answer(pulse, seconds=each)
    clock.now += 1
    exact = 1000 * sorted(seconds)[math.ceil(share * len(seconds)) - 1]
    found = pulse.window().sums.percentile_ms(share)
    assert found is not None
    assert exact / math.sqrt(GROWTH) * 0.999 <= found <= exact * math.sqrt(GROWTH) * 1.001


def test_without_an_answer_there_is_no_percentile() -> None:
    assert Pulse(Clock()).window().sums.percentile_ms(0.5) is None


def test_operators_and_probes_are_no_sales() -> None:
    assert is_sale("/v1/embeddings")
    assert is_sale("/v1/embed/image")
    assert not any(map(is_sale, ("/v1/admin/accounts", "/healthz", "/metrics", "/dashboard", "/")))
