"""Caps of a key: exact, by the database's clock, each hold in the window it came from."""

from datetime import UTC, datetime

import pytest

from vendor_api.db import as_microseconds
from vendor_api.db.clock import DAY
from vendor_api.ledger import caps
from vendor_api.ledger.commands import CapReached, InsufficientCredit


def instant(*parts):
    return as_microseconds(datetime(*parts).replace(tzinfo=UTC))


@pytest.fixture
def rich(till):
    till.credit(1000)
    return till


class TestWindows:
    @pytest.mark.parametrize(
        ("now", "window", "bounds"),
        [
            ((2027, 3, 10, 12), "day", ((2027, 3, 10), (2027, 3, 11))),
            ((2027, 3, 10, 0), "day", ((2027, 3, 10), (2027, 3, 11))),
            ((2027, 3, 28, 1, 30), "day", ((2027, 3, 28), (2027, 3, 29))),
            ((2027, 12, 31, 23, 59, 59, 999999), "month", ((2027, 12, 1), (2028, 1, 1))),
            ((2028, 2, 29), "month", ((2028, 2, 1), (2028, 3, 1))),
            ((2027, 11, 1), "month", ((2027, 11, 1), (2027, 12, 1))),
        ],
    )
    def test_are_days_and_months_of_utc(self, now, window, bounds):
        assert caps.bound_window(instant(*now), window) == tuple(instant(*b) for b in bounds)

    def test_ever_has_no_end(self):
        assert caps.bound_window(instant(2027, 1, 1), "ever") == (0, None)


class TestReserve:
    def test_up_to_the_cap_is_held_and_no_item_more(self, rich):
        rich.cap("items", "day", 3)
        rich.reserve("k1", "a", "b", "c")
        with pytest.raises(CapReached) as refused:
            rich.reserve("k2", "d")
        assert (refused.value.kind, refused.value.window) == ("items", "day")
        assert refused.value.resets_at == instant(2027, 3, 11)
        assert rich.available == 997
        assert rich.windows() == {("items", "day"): (0, 3)}

    def test_a_cap_on_spend_counts_nano_dollars(self, rich):
        rich.cap("spend", "ever", 299_999)
        rich.reserve("k1", "a", "b")
        with pytest.raises(CapReached) as refused:
            rich.reserve("k2", "c")
        assert refused.value.resets_at is None

    def test_a_refused_request_holds_nothing_in_any_window(self, rich):
        rich.cap("items", "day", 5)
        rich.cap("items", "month", 1)
        with pytest.raises(CapReached):
            rich.reserve("k1", "a", "b")
        assert set(rich.windows().values()) == {(0, 0)}

    def test_without_credit_no_window_is_held(self, till):
        till.cap("items", "day", 5)
        with pytest.raises(InsufficientCredit):
            till.reserve("k1", "a")
        assert till.windows() == {("items", "day"): (0, 0)}

    def test_nothing_is_always_within_the_cap(self, rich):
        rich.cap("items", "day", 0)
        assert rich.reserve("k1").reserved_nanousd == 0

    def test_another_key_of_the_account_is_free(self, rich):
        rich.cap("items", "day", 0)
        assert rich.reserve("k1", "a", key_id="key_other")

    def test_the_same_key_entering_again_is_counted_once(self, rich):
        rich.cap("items", "day", 3)
        rich.reserve("k1", "a", "b", hold_seconds=0)
        rich.now += 1
        rich.reserve("k1", "a", "b")
        assert rich.windows() == {("items", "day"): (0, 2)}


class TestSettling:
    def test_a_capture_counts_what_was_delivered(self, rich):
        rich.cap("items", "day", 4)
        rich.cap("spend", "day", 400_000)
        rich.buy("k0", "a")
        rich.capture(rich.reserve("k1", "a", "b", "c"), True, True, False)
        assert rich.windows() == {("items", "day"): (3, 0), ("spend", "day"): (200_000, 0)}

    def test_a_release_and_an_expiry_give_all_back(self, rich):
        rich.cap("items", "day", 9)
        rich.release(rich.reserve("k1", "a"))
        rich.reserve("k2", "b", "c", hold_seconds=0)
        rich.reserve("k3", "d", hold_seconds=0)
        assert rich.sweep() == 2
        assert rich.windows() == {("items", "day"): (0, 0)}

    def test_what_was_held_yesterday_is_used_yesterday(self, rich):
        rich.now = instant(2027, 3, 31, 23, 59, 59)
        rich.cap("items", "day", 2)
        rich.cap("items", "month", 2)
        hold = rich.reserve("k1", "a", "b")
        rich.now += DAY
        assert rich.reserve("k2", "c", "d")
        rich.capture(hold)
        assert set(rich.windows().values()) == {(0, 2)}
        rich.now -= DAY
        assert set(rich.windows().values()) == {(2, 0)}

    def test_a_cap_changed_or_removed_meanwhile_leaves_the_hold_alone(self, rich):
        rich.cap("items", "day", 5)
        first, second = rich.reserve("k1", "a", "b"), rich.reserve("k2", "c")
        rich.cap("items", "day", 1)
        rich.capture(first)
        with pytest.raises(CapReached):
            rich.reserve("k3", "d")
        rich.cap("items", "day", None)
        rich.capture(second)
        assert rich.reserve("k3", "d")
        rich.cap("items", "day", 4)
        assert rich.windows() == {("items", "day"): (3, 0)}

    def test_a_cap_set_meanwhile_does_not_count_the_hold(self, rich):
        hold = rich.reserve("k1", "a")
        rich.cap("items", "day", 1)
        rich.capture(hold)
        assert rich.windows() == {("items", "day"): (0, 0)}


class TestSetCap:
    @pytest.mark.parametrize("cap", [-1, 2**63])
    def test_a_cap_that_cannot_be_is_refused(self, rich, cap):
        with pytest.raises(ValueError, match="63 bits"):
            rich.cap("items", "day", cap)

    def test_an_unknown_kind_or_window_is_refused(self, rich):
        for kind, window in (("bytes", "day"), ("items", "week")):
            with pytest.raises(ValueError, match="items or spend"):
                rich.cap(kind, window, 1)

    def test_the_largest_cap_does_not_overflow(self, rich):
        rich.cap("spend", "ever", 2**63 - 1)
        assert rich.buy("k1", "a").cost_nanousd == 100_000
