"""Who is expected to be granted what: learned from what was granted and refused, bounded."""

from vendor_api.metering.trust import Trust


def test_what_is_left_is_what_is_trusted() -> None:
    trust = Trust()
    assert not trust.covers("a", 0)
    trust.note("a", 5)
    assert trust.covers("a", 5)
    assert not trust.covers("a", 6)
    assert not trust.covers("b", 1)
    trust.note("a", -1)  # on credit
    assert not trust.covers("a", 0)
    trust.note("a", 7)
    trust.lose("a")
    trust.lose("a")
    assert not trust.covers("a", 0)


def test_those_that_bought_last_are_remembered() -> None:
    trust = Trust(2)
    for name in ("a", "b", "a", "c"):
        trust.note(name, 1)
    assert [trust.covers(name, 1) for name in ("a", "b", "c")] == [True, False, True]
