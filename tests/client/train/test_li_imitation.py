"""The metrics of imitation against a slow, literal reading of their definitions."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.train import imitation
from client.train.imitation import (
    measure_distance,
    measure_imitation,
    measure_inversions,
    measure_neighbourhood,
    measure_retrieval,
)
from tests.client.train import li_reference as reference


def draw(seed, n, d=4, labels=5, alike=False):
    """Student, teacher and texts as unit rows; with `alike` some pictures are copies of others."""
    rng = np.random.default_rng(seed)
    student, teacher, texts = (
        reference.normalise(rng.normal(size=(count, d))) for count in (n, n, labels)
    )
    if alike:
        source = rng.integers(n, size=n)
        student, teacher = student[source], teacher[source]
    return student, teacher, texts


sizes = st.integers(2, 14)
seeds = st.integers(0, 100_000)


@given(seed=seeds, n=sizes, alike=st.booleans())
def test_retrieval_is_what_its_definition_says(seed, n, alike):
    student, teacher, _ = draw(seed, n, alike=alike)
    assert measure_retrieval(student, teacher) == reference.retrieval(student, teacher)


@given(seed=seeds, n=sizes, k=st.integers(1, 12))
def test_neighbourhood_is_what_its_definition_says(seed, n, k):
    student, teacher, _ = draw(seed, n)
    found = measure_neighbourhood(student, teacher, k)
    assert found == pytest.approx(reference.neighbourhood(student, teacher, k))


@given(seed=seeds, n=sizes, k=st.integers(1, 7))
def test_inversions_are_what_their_definition_says(seed, n, k):
    student, teacher, texts = draw(seed, n)
    found = measure_inversions(student, teacher, texts, k)
    assert found == pytest.approx(reference.inversions(student, teacher, texts, k))


@given(seed=seeds, n=sizes, alike=st.booleans())
def test_a_perfect_imitation_has_perfect_marks(seed, n, alike):
    _, teacher, texts = draw(seed, n, alike=alike)
    found = measure_imitation(3 * teacher, teacher, texts)
    assert found.mse == pytest.approx(0, abs=1e-12)
    assert found.angle == pytest.approx(0, abs=1e-4)
    assert found.retrieval == 1
    assert set(found.neighbourhood.values()) == {1.0}
    assert set(found.inversions.values()) == {0.0}


@given(seed=seeds, n=sizes)
def test_turning_both_spaces_alike_changes_nothing(seed, n):
    student, teacher, texts = draw(seed, n)
    turn, _ = np.linalg.qr(np.random.default_rng(seed + 1).normal(size=(4, 4)))
    before = measure_imitation(student, teacher, texts).document()
    after = measure_imitation(student @ turn, teacher @ turn, texts @ turn).document()
    assert after == pytest.approx(before, abs=1e-9)


def test_the_opposite_order_has_every_pair_inverted():
    angles = np.radians([0, 20, 50, 90])
    texts = np.stack([np.cos(angles), np.sin(angles)], axis=1)
    teacher, student = texts[[0]], texts[[3]]
    assert measure_inversions(student, teacher, texts, 4) == 6
    assert measure_inversions(student, teacher, texts, 2) == 1


def test_distance_and_angle_of_a_right_angle():
    mse, angle = measure_distance(np.array([[0.0, 2.0]]), np.array([[1.0, 0.0]]))
    assert [mse, angle] == pytest.approx([2, 90])


def test_more_rows_than_are_compared_at_once():
    student, teacher, _ = draw(0, imitation.CHUNK + 30)
    assert measure_retrieval(student, teacher) == reference.retrieval(student, teacher)


def test_a_result_line_carries_every_metric():
    names = measure_imitation(*draw(0, 9)).document().keys()
    assert names == {
        *("mse", "angle", "m_rel"),
        *(f"m_neigh_{k}" for k in (3, 5, 10)),
        *(f"m_vlalign_{k}" for k in (2, 3, 5)),
    }
