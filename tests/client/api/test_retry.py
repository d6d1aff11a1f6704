"""Which answers are tried again, and when."""

import pytest

from client.api import APIConnectionError, APIStatusError
from client.api.retry import RetryPolicy, Tries, next_delay, read_retry_after, should_retry


@pytest.mark.parametrize("status", [408, 409, 429, 500, 502, 503, 504])
def test_these_are_tried_again(status: int) -> None:
    assert should_retry(status, {})


@pytest.mark.parametrize("status", [400, 401, 402, 403, 404, 413, 422])
def test_these_are_not(status: int) -> None:
    assert not should_retry(status, {})


def test_the_vendors_word_comes_first() -> None:
    assert should_retry(402, {"x-should-retry": "true"})
    assert not should_retry(503, {"x-should-retry": "false"})
    assert should_retry(503, {"x-should-retry": "perhaps"})


@pytest.mark.parametrize(("tried", "longest"), [(1, 0.5), (2, 1.0), (3, 2.0), (5, 8.0), (9, 8.0)])
def test_the_delay_doubles_up_to_eight_seconds_less_a_quarter_by_chance(
    tried: int, longest: float
) -> None:
    assert next_delay(tried, {}, chance=0.0, now=0) == longest
    assert next_delay(tried, {}, chance=1.0, now=0) == 0.75 * longest


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "120"}, 120.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "Thu, 01 Jan 1970 00:01:40 GMT"}, 40.0),
        ({"retry-after": "when I like"}, None),
        ({}, None),
    ],
)
def test_the_vendors_delay_is_read(headers: dict[str, str], seconds: float | None) -> None:
    assert read_retry_after(headers, now=60) == seconds


def test_a_vendor_that_asks_for_more_than_two_minutes_is_not_waited_for() -> None:
    assert next_delay(1, {"retry-after": "121"}, chance=0, now=0) is None
    assert next_delay(1, {"retry-after": "120"}, chance=0, now=0) == 120


def test_a_delay_that_is_no_number_is_ignored() -> None:
    assert next_delay(1, {"retry-after": "nan"}, chance=0, now=0) == 0.5


def refused(status: int, **headers: str) -> APIStatusError:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return APIStatusError("no", status_code=status, headers=named, problem=None, request_id=None)


class TestTries:
    def test_a_try_takes_no_longer_than_what_is_left_of_the_call(self) -> None:
        tries = Tries(RetryPolicy(timeout=120, deadline=200), began=1000)
        assert tries.start(1000) == 120
        assert tries.start(1150) == 50
        assert tries.start(1300) == 0.001
        assert tries.retries == 2

    def test_a_wait_beyond_the_deadline_is_not_begun(self) -> None:
        tries = Tries(RetryPolicy(deadline=10), began=0)
        tries.start(0)
        late = refused(429, retry_after="6")
        assert tries.delay_after(late, now=3.9, wall=0, chance=0) == 6
        assert tries.delay_after(late, now=4.0, wall=0, chance=0) is None

    def test_the_error_says_how_often_it_was_tried_again(self) -> None:
        tries = Tries(RetryPolicy(max_retries=1), began=0)
        errors = [APIConnectionError("x"), APIConnectionError("x")]
        delays = []
        for error in errors:
            tries.start(0)
            delays.append(tries.delay_after(error, now=0, wall=0, chance=0))
        assert delays == [0.5, None]
        assert [error.retries for error in errors] == [0, 1]

    def test_a_refusal_that_is_not_tried_again_is_final_at_once(self) -> None:
        tries = Tries(RetryPolicy(), began=0)
        tries.start(0)
        assert tries.delay_after(refused(402), now=0, wall=0, chance=0) is None

    def test_a_retry_after_date_is_read_by_the_vendors_own_clock(self) -> None:
        tries = Tries(RetryPolicy(), began=0)
        tries.start(0)
        dates = {"date": "Thu, 01 Jan 1970 01:00:00 GMT"}
        later = refused(503, retry_after="Thu, 01 Jan 1970 01:00:30 GMT", **dates)
        assert tries.delay_after(later, now=0, wall=0, chance=0) == 30
        undated = refused(503, retry_after="Thu, 01 Jan 1970 01:00:30 GMT")
        assert tries.delay_after(undated, now=0, wall=3600 + 20, chance=0) == 10
