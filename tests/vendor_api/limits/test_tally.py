"""How often a key was too fast: exact for the keys that asked latest, bounded for all."""

from hypothesis import given
from hypothesis import strategies as st

from vendor_api.limits.tally import Counts, Tally


@given(st.lists(st.tuples(st.sampled_from("abc"), st.booleans())))
def test_every_request_is_counted_for_its_key(requests: list[tuple[str, bool]]) -> None:
    tally = Tally()
    for key, too_fast in requests:
        tally.ask(key)
        if too_fast:
            tally.refuse(key)
    for key in "abc":
        own = [too_fast for asked, too_fast in requests if asked == key]
        counts = tally.read(key)
        assert counts == Counts(len(own), sum(own))
        assert (counts.percent == 0) == (not any(own))
        assert (counts.percent == 100) == (bool(own) and sum(own) > 0.99 * len(own))


def test_who_asked_longest_ago_is_forgotten() -> None:
    tally = Tally(keys=2)
    for key in ("old", "kept", "old", "new"):
        tally.ask(key)
    assert [tally.read(key).asked for key in ("old", "kept", "new")] == [2, 0, 1]


def test_who_looks_changes_nothing() -> None:
    tally = Tally()
    tally.read("a").asked += 1
    assert tally.read("a") == Counts()
