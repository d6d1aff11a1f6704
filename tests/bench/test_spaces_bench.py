"""The bench of private spaces runs and says what it measured."""

from tests.bench.spaces import measure


def test_every_dimension_and_batch_has_its_row():
    rows = measure((8, 16), (1, 4), repeats=1)
    assert [(row["dimension"], row["batch"]) for row in rows] == [(8, 1), (8, 4), (16, 1), (16, 4)]
    assert all(row["us_a_batch"] > 0 for row in rows)
