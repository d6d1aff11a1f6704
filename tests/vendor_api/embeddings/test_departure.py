"""A client leaves once; whoever must know is told, and nobody after that."""

from vendor_api.embeddings.departure import Departure


def test_a_departure_is_told_while_somebody_listens() -> None:
    heard: list[str] = []
    departure = Departure()
    with departure.told_to(lambda: heard.append("early")):
        pass
    with departure.told_to(lambda: heard.append("present")):
        assert not departure.happened
        departure.note()
    assert heard == ["present"]
    assert departure.happened


def test_who_comes_later_is_told_at_once() -> None:
    heard: list[str] = []
    departure = Departure()
    departure.note()
    with departure.told_to(lambda: heard.append("late")):
        assert heard == ["late"]
