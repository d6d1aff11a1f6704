"""How long the rest will take, by a clock of the test's own."""

from client.train.config import TrainConfig
from client.train.pace import FIXED_STEPS, Pace, Standing, count_work


class TestPace:
    def _pace(self, ticks):
        clock = iter(ticks)
        return Pace(runs=4, work=400, clock=lambda: next(clock))

    def test_what_was_there_already_says_nothing_about_speed(self):
        pace = self._pace([0, 1, 61])
        assert pace.finish("a", 100, found=True).seconds_left is None
        # 100 of the 300 left took a minute.
        assert pace.finish("b", 100, found=False).seconds_left == 120

    def test_long_runs_weigh_more(self):
        pace = self._pace([0, 10])
        assert pace.finish("a", 40, found=False).seconds_left == 90

    def test_the_teacher_costs_no_time_and_a_probe_little(self):
        assert count_work(TrainConfig(method="zero-shot")) == 0
        assert count_work(TrainConfig(method="erm", steps=100)) == 100 + FIXED_STEPS


def test_a_standing_is_said_in_hours_minutes_or_seconds():
    said = [Standing("x", 1, 2, seconds).sentence for seconds in (None, 20, 600, 4000)]
    assert said == [
        "1 of 2 done: x",
        "1 of 2 done: x; about 20 s left",
        "1 of 2 done: x; about 10 min left",
        "1 of 2 done: x; about 1 h 07 min left",
    ]
