"""Expected calibration error, against a count by hand and its own definition."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.train.calibration import BINS, calibrate


def test_it_is_the_weighted_gap_between_confidence_and_accuracy():
    # Two pictures in the bin of 0.9, one of them right; one in the bin of 0.5, right.
    probabilities = np.array([[0.9, 0.1], [0.9, 0.1], [0.5, 0.5]], dtype=np.float32)
    found = calibrate(probabilities, np.array([0, 1, 0]))
    assert found.error == pytest.approx((2 * abs(0.5 - 0.9) + 1 * abs(1 - 0.5)) / 3, abs=1e-6)


def test_a_bin_holds_its_upper_edge_and_not_its_lower():
    probabilities = np.array([[10 / 15, 5 / 15], [1.0, 0.0]], dtype=np.float64)
    found = calibrate(probabilities, np.array([0, 0]))
    assert np.flatnonzero(found.counts).tolist() == [9, BINS - 1]


@given(st.lists(st.tuples(st.floats(0.5, 1), st.booleans()), min_size=1, max_size=60))
def test_it_agrees_with_a_loop_over_bins(answers):
    probabilities = np.array([[p, 1 - p] for p, _ in answers], dtype=np.float64)
    labels = np.array([0 if right else 1 for _, right in answers])
    wanted = 0.0
    for b in range(BINS):
        # A tie goes to the first class, as it does in the answers.
        inside = [(p, right) for p, right in answers if b / BINS < p <= (b + 1) / BINS]
        if inside:
            named = sum(p for p, _ in inside) / len(inside)
            wanted += abs(sum(r for _, r in inside) / len(inside) - named) * len(inside)
    assert calibrate(probabilities, labels).error == pytest.approx(wanted / len(answers))
