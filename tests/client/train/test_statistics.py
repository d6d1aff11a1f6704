"""Intervals that are as wide as they should be, and that know one drawing from two."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.train.statistics import bootstrap, paired_bootstrap


def _pair(rng, *, drawings=40, each=2, classes=4, a=0.7, b=0.5):
    """One pair of runs whose pictures of a drawing share its difficulty."""
    hard = rng.normal(size=drawings)
    labels = np.arange(drawings) % classes

    def answers(rate):
        noise = rng.normal(size=(drawings, each))
        return (hard[:, None] + noise < np.sqrt(2) * _quantile(rate)).ravel()

    names = [f"d{i}" for i in range(drawings) for _ in range(each)]
    return answers(a), answers(b), np.repeat(labels, each), names


def _quantile(rate):
    return float(np.quantile(np.random.default_rng(1).normal(size=200_000), rate))


def _lists(pairs):
    return tuple(list(part) for part in zip(*pairs, strict=True))


class TestPairedBootstrap:
    def test_a_run_against_itself_is_nought_without_width(self):
        a, _, labels, names = _pair(np.random.default_rng(0))
        found = paired_bootstrap([a], [a], [labels], [names], repeats=200)
        assert (found.mean, found.low, found.high) == (0, 0, 0)
        assert not found.excludes_zero

    def test_the_mean_is_the_difference_in_mean_per_class_accuracy(self):
        labels = np.array([0, 0, 0, 1])
        a, b = np.array([True, True, False, True]), np.array([True, False, False, False])
        found = paired_bootstrap([a], [b], [labels], [["w", "x", "y", "z"]], repeats=10)
        assert found.mean == pytest.approx((1 / 3 + 1) / 2)

    def test_swapping_the_runs_mirrors_the_interval(self):
        a, b, labels, names = _lists([_pair(np.random.default_rng(s)) for s in (1, 2)])
        one = paired_bootstrap(a, b, labels, names, repeats=300)
        other = paired_bootstrap(b, a, labels, names, repeats=300)
        assert (other.mean, other.low, other.high) == pytest.approx(
            (-one.mean, -one.high, -one.low)
        )

    @settings(max_examples=20, deadline=None)
    @given(st.permutations(range(16)), st.integers(0, 3))
    def test_the_order_of_pictures_and_of_pairs_changes_nothing(self, order, seed):
        rng = np.random.default_rng(seed)
        first, second = (_pair(rng, drawings=8, classes=2) for _ in range(2))
        shuffled = tuple(np.asarray(part)[order] for part in first)
        one = paired_bootstrap(*_lists([first, second]), repeats=50)
        other = paired_bootstrap(*_lists([second, shuffled]), repeats=50)
        assert (one.mean, one.low, one.high) == pytest.approx((other.mean, other.low, other.high))

    def test_a_drawing_moves_together_in_all_folds(self):
        # Copies of one fold hold no more evidence than the fold itself.
        a, b, labels, names = _pair(np.random.default_rng(3))
        alone = paired_bootstrap([a], [b], [labels], [names], repeats=400)
        copied = paired_bootstrap([a] * 5, [b] * 5, [labels] * 5, [names] * 5, repeats=400)
        assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high))

    def test_pictures_of_one_drawing_are_not_independent(self):
        # Each drawing's two pictures are answered alike: naming them apart feigns twice the data.
        rng = np.random.default_rng(4)
        labels = np.repeat(np.arange(60) % 3, 2)
        a, b = (np.repeat(rng.random(60) < rate, 2) for rate in (0.7, 0.5))
        together = [f"d{i // 2}" for i in range(120)]
        apart = [f"p{i}" for i in range(120)]
        honest = paired_bootstrap([a], [b], [labels], [together], repeats=1000)
        narrow = paired_bootstrap([a], [b], [labels], [apart], repeats=1000)
        assert honest.high - honest.low > 1.2 * (narrow.high - narrow.low)

    def test_about_95_of_100_intervals_hold_the_truth(self):
        rng, held, studies = np.random.default_rng(5), 0, 300
        for _ in range(studies):
            pairs = _lists([_pair(rng, drawings=120, a=0.7, b=0.5) for _ in range(2)])
            found = paired_bootstrap(*pairs, repeats=200, seed=int(rng.integers(1 << 30)))
            held += found.low <= 0.2 <= found.high
        assert 0.91 <= held / studies <= 0.985

    def test_a_bench_of_twelve_pairs_takes_seconds(self):
        rng = np.random.default_rng(6)
        pairs = _lists([_pair(rng, drawings=900, classes=40) for _ in range(12)])
        began = time.process_time()
        paired_bootstrap(*pairs)
        assert time.process_time() - began < 30

    def test_memory_bounds_how_many_are_drawn_at_once_and_no_figure(self):
        a, b, labels, names = _pair(np.random.default_rng(7))
        whole = paired_bootstrap([a], [b], [labels], [names], repeats=50)
        parts = paired_bootstrap([a], [b], [labels], [names], repeats=50, at_once=100)
        assert parts == whole

    @pytest.mark.parametrize("lists", [([], [], [], []), ([np.ones(2, bool)], [], [], [])])
    def test_lists_that_do_not_match_are_refused(self, lists):
        with pytest.raises(ValueError, match="same number of pairs"):
            paired_bootstrap(*lists)

    def test_arrays_that_do_not_match_are_refused(self):
        right = np.ones(2, dtype=bool)
        with pytest.raises(ValueError, match="equally long"):
            paired_bootstrap([right], [right], [np.array([0, 0])], [["one"]])


def test_an_accuracy_of_its_own_has_an_interval_too():
    a, _, labels, names = _pair(np.random.default_rng(8), drawings=200)
    found = bootstrap([a], [labels], [names], repeats=300)
    assert 0.6 < found.low < found.mean < found.high < 0.8
