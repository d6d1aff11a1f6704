"""The way in to an engine: what counts as its load, and what a request counts."""

from typing import Any

import pytest

from shared.digests import digest_text
from vendor_api.embeddings.decoding import Decoder
from vendor_api.embeddings.entrance import Entrance
from vendor_api.embeddings.pace import Pace
from vendor_api.embeddings.promises import Caller
from vendor_api.embeddings.requests import Ask
from vendor_api.engine.base import EngineState, LaneLoad
from vendor_api.errors import VendorError

ADA = Caller("ada", b"1")


class Stub:
    """An engine of which only the state is asked."""

    def __init__(self, **lanes: LaneLoad) -> None:
        self.lanes: dict[str, LaneLoad] = lanes
        self.queued_ms = sum(load.queued_ms for load in lanes.values())

    def state(self) -> Any:
        lanes: Any = self.lanes
        return EngineState(True, self.queued_ms, "r", lanes=lanes)


def open_entrance(engine: Stub, max_queued_ms: float = 1000) -> Entrance:
    given: Any = engine
    return Entrance(given, Decoder(1), max_queued_ms=max_queued_ms, clock=lambda: 0.0)


def text() -> Ask:
    return Ask("text", digest_text("a"), text="a")


def file(area: int) -> Ask:
    return Ask("image", digest_text("a"), data=b"a file", area=area)


def pixels() -> Ask:
    return Ask("image", digest_text("a"))


def test_what_came_in_counts_until_the_engine_counts_it() -> None:
    engine = Stub(text=LaneLoad(0, 100), image=LaneLoad(0, 100))
    entrance = open_entrance(engine)
    passages = [entrance.admit(ADA, [text()]) for _ in range(10)]
    with pytest.raises(VendorError) as caught:
        entrance.admit(ADA, [text()])
    assert caught.value.code == "overloaded"
    assert caught.value.retry_after_s == pytest.approx(0.625)
    assert "in 0.6 s; a place is kept for it then" in caught.value.detail
    passages[0].hand_over()
    passages[0].hand_over()
    with passages[1]:
        pass
    # Two places are free again, and one of them is promised to Ada.
    entrance.admit(Caller("bob", b"2"), [text()])
    with pytest.raises(VendorError):
        entrance.admit(Caller("bob", b"3"), [text()])


def test_a_failed_request_gives_its_place_back() -> None:
    entrance = open_entrance(Stub(text=LaneLoad(0, 600), image=LaneLoad(0, 600)))
    for _ in range(5):
        with pytest.raises(KeyError), entrance.admit(ADA, [text(), text()]):
            raise KeyError


def test_texts_do_not_wait_behind_images_nor_are_refused_for_them() -> None:
    entrance = open_entrance(Stub(text=LaneLoad(0, 10), image=LaneLoad(1000, 10)))
    entrance.admit(ADA, [text()])
    with pytest.raises(VendorError):
        entrance.admit(ADA, [text(), pixels()])


def test_an_engine_that_keeps_no_lanes_apart_has_one_queue() -> None:
    engine = Stub()
    engine.queued_ms = 1000
    entrance = open_entrance(engine)
    for ask in (text(), pixels()):
        with pytest.raises(VendorError):
            entrance.admit(ADA, [ask])


def test_a_large_picture_counts_its_decoding() -> None:
    engine = Stub(text=LaneLoad(0, 20), image=LaneLoad(900, 20))
    entrance = open_entrance(engine)
    entrance.admit(ADA, [file(187_500)])
    entrance.admit(ADA, [pixels()])
    with pytest.raises(VendorError):
        entrance.admit(ADA, [file(12_000_000)])


def test_nothing_to_compute_is_never_refused() -> None:
    entrance = open_entrance(Stub(text=LaneLoad(9999, 20), image=LaneLoad(9999, 20)))
    with entrance.admit(ADA, []):
        pass


def test_a_fast_engine_keeps_no_more_in_memory() -> None:
    # A hundredth of a millisecond an item: ten seconds would be a million pictures.
    entrance = open_entrance(Stub(text=LaneLoad(0, 5), image=LaneLoad(40, 0.01)), 10_000)
    with pytest.raises(VendorError):
        entrance.admit(ADA, [pixels()] * 256)


class TestPace:
    """Where the engine says 10 ms an item; batches have ten."""

    def finish(
        self, pace: Pace, *, batches: int, each_s: float, begin: float = 0.0, busy: bool = True
    ) -> float:
        """Batches, one after the other; returns when they are done."""
        for batch in range(batches):
            for row in range(10):
                pace.note(1, busy=busy, now=begin + batch * each_s + row * 0.001)
        return begin + batches * each_s

    def test_before_anything_was_seen_it_is_what_the_engine_says(self) -> None:
        assert Pace().read(10) == Pace().read_best(10) == 0.1

    @pytest.mark.parametrize(("each_s", "pace"), [(0.1, 0.1), (0.2, 0.05), (0.025, 0.4)])
    def test_it_follows_what_is_done(self, each_s: float, pace: float) -> None:
        found = Pace()
        self.finish(found, batches=round(60 / each_s), each_s=each_s)
        assert found.read(10) == pytest.approx(pace, rel=0.05)

    def test_long_requests_between_short_ones_do_not_disturb_it(self) -> None:
        found, now = Pace(), 0.0
        for number in range(200):
            items = 300 if number % 7 == 0 else 1
            now += items / 50
            found.note(items, busy=True, now=now)
        assert found.read(10) == pytest.approx(0.05, rel=0.05)

    def test_an_engine_that_waits_for_work_teaches_nothing(self) -> None:
        found = Pace()
        self.finish(found, batches=100, each_s=1.0, busy=False)
        assert found.read(10) == 0.1

    def test_the_best_outlasts_a_rush_and_fades(self) -> None:
        found = Pace()
        now = self.finish(found, batches=200, each_s=0.1)
        now = self.finish(found, batches=80, each_s=0.2, begin=now)
        assert found.read(10) < 0.06
        assert found.read_best(10) > 0.085
        self.finish(found, batches=4500, each_s=0.2, begin=now)
        assert found.read_best(10) == pytest.approx(0.05, rel=0.05)

    def test_a_first_good_window_is_no_best(self) -> None:
        found = Pace()
        now = self.finish(found, batches=30, each_s=0.05)
        self.finish(found, batches=100, each_s=0.1, begin=now)
        assert found.read_best(10) < 0.13
