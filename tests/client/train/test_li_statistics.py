"""The clustered bootstrap and the rank correlation."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.train.li_statistics import Paired, correlate_ranks, paired_difference


def make_pair(rng, gain, pictures=120, classes=4, drawings=60):
    """A method that is right with probability .5 + gain where the other has .5, drawing by drawing."""
    groups = rng.integers(drawings, size=pictures)
    labels = groups % classes
    luck = rng.random(drawings)[groups]
    return Paired(
        labels=labels,
        groups=[str(g) for g in groups],
        better=(luck < 0.5 + gain).astype(float),
        base=(luck < 0.5).astype(float),
    )


class TestPairedDifference:
    def test_is_the_difference_of_mean_per_class_accuracies(self):
        pair = Paired(
            labels=np.array([0, 0, 0, 1]),
            groups=["a", "b", "c", "d"],
            better=np.array([1.0, 1.0, 0.0, 1.0]),
            base=np.array([0.0, 0.0, 0.0, 1.0]),
        )
        assert paired_difference([pair]).value == pytest.approx((2 / 3 + 0) / 2)

    def test_equal_methods_differ_by_exactly_nothing(self):
        pair = make_pair(np.random.default_rng(0), 0.0)
        found = paired_difference([pair, pair])
        assert (found.value, found.low, found.high) == (0, 0, 0)

    def test_swapping_the_methods_turns_the_interval_round(self):
        pair = make_pair(np.random.default_rng(1), 0.2)
        turned = Paired(pair.labels, pair.groups, pair.base, pair.better)
        one, other = paired_difference([pair]), paired_difference([turned])
        expected = (-one.value, -one.high, -one.low)
        assert (other.value, other.low, other.high) == pytest.approx(expected)

    def test_copies_of_a_drawing_add_no_certainty(self):
        rng = np.random.default_rng(2)
        once = make_pair(rng, 0.2, drawings=120)
        twice = Paired(
            np.tile(once.labels, 4),
            [*once.groups] * 4,
            np.tile(once.better, 4),
            np.tile(once.base, 4),
        )
        one, four = paired_difference([once]), paired_difference([twice])
        assert four.high - four.low == pytest.approx(one.high - one.low)

    def test_class_splits_that_disagree_widen_the_interval(self):
        rng = np.random.default_rng(3)
        alike = [make_pair(rng, 0.2) for _ in range(3)]
        apart = [make_pair(rng, gain) for gain in (0.0, 0.2, 0.4)]
        narrow, wide = paired_difference(alike), paired_difference(apart)
        assert wide.high - wide.low > narrow.high - narrow.low

    def test_covers_the_truth_about_as_often_as_it_says(self):
        rng = np.random.default_rng(4)
        hits = 0
        for trial in range(60):
            found = paired_difference([make_pair(rng, 0.1)], draws=300, seed=trial)
            hits += found.low <= 0.1 <= found.high
        assert hits >= 50

    def test_is_the_same_each_time(self):
        pair = make_pair(np.random.default_rng(5), 0.1)
        assert paired_difference([pair], draws=50) == paired_difference([pair], draws=50)


class TestRankCorrelation:
    def test_follows_the_order_not_the_values(self):
        assert correlate_ranks([1, 2, 3, 4], [1, 10, 100, 1000]) == pytest.approx(1)
        assert correlate_ranks([1, 2, 3, 4], [9, 5, 2, 1]) == pytest.approx(-1)

    def test_equal_values_share_their_rank(self):
        # Ranks 1, 2.5, 2.5, 4 against 1, 2, 3, 4: 1 − the textbook's formula is off with ties.
        assert correlate_ranks([1, 2, 2, 3], [1, 2, 3, 4]) == pytest.approx(4.5 / np.sqrt(4.5 * 5))

    def test_nothing_to_say_below_three_runs_or_when_all_are_equal(self):
        assert correlate_ranks([1, 2], [1, 2]) is None
        assert correlate_ranks([1, 1, 1], [1, 2, 3]) is None

    @given(
        values=st.lists(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=3, max_size=12)
    )
    def test_equals_pearsons_of_literal_mean_ranks(self, values):
        def ranks(column):
            return [
                sum(other < value for other in column) + (column.count(value) - 1) / 2
                for value in column
            ]

        one, other = (list(column) for column in zip(*values, strict=True))
        found = correlate_ranks(one, other)
        if len(set(one)) == 1 or len(set(other)) == 1:
            assert found is None
        else:
            assert found == pytest.approx(np.corrcoef(ranks(one), ranks(other))[0, 1])
