"""Which answers are tried again, and when."""

import pytest

from client.api.retry import next_delay, read_retry_after, should_retry


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
