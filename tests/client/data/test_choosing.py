"""Shares of the pictures: their size, what they cover, and that a smaller is a part of a larger."""

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data.choosing import (
    SELECTIONS,
    choose_pictures,
    count_share,
    order_k_center,
    order_stratified,
    order_uncertain,
)
from tests.client.data.test_shots import cells, make_manifest

shares = st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0])
rules = st.sampled_from(SELECTIONS)


def choose(found, rule, share, seed=0, rows=None):
    rows = list(range(len(found))) if rows is None else rows
    rng = np.random.default_rng(len(found))
    features, margins = rng.normal(size=(len(found), 4)), rng.random(len(found))
    return choose_pictures(
        make_manifest(found),
        rows,
        share,
        rule,
        seed=seed,
        features=features[rows],
        margins=margins[rows],
    )


@given(cells, rules, shares, st.integers(0, 3))
def test_every_domain_gives_exactly_its_share(found, rule, share, seed):
    chosen = choose(found, rule, share, seed)
    had, has = Counter(d for d, _, _ in found), Counter(found[row][0] for row in chosen)
    assert {d: has[d] for d in had} == {d: count_share(n, share) for d, n in had.items()}
    assert chosen == sorted(set(chosen))


@given(cells, rules, shares, shares, st.integers(0, 3))
def test_a_smaller_share_is_a_part_of_a_larger_one(found, rule, one, other, seed):
    less, more = sorted((one, other))
    assert set(choose(found, rule, less, seed)) <= set(choose(found, rule, more, seed))


@given(cells, rules, shares)
def test_a_domains_choice_does_not_depend_on_the_others(found, rule, share):
    own = [row for row in range(len(found)) if found[row][0] == found[0][0]]
    together = choose(found, rule, share)
    assert choose(found, rule, share, rows=own) == [row for row in together if row in own]


@given(st.lists(st.integers(0, 5), min_size=1, max_size=50), st.integers(1, 50))
def test_stratified_covers_every_class_as_soon_as_it_can(labels, size):
    names = [f"c{label}" for label in labels]
    order = order_stratified(names, np.random.default_rng(0).random(len(names)))
    assert sorted(order) == list(range(len(names)))
    covered = {names[place] for place in order[:size]}
    assert len(covered) >= min(size, len(set(names)))


def test_stratified_keeps_the_classes_shares():
    names = ["common"] * 80 + ["rare"] * 20
    order = order_stratified(names, np.random.default_rng(0).random(100))
    assert Counter(names[place] for place in order[:50]) == {"common": 40, "rare": 10}


def test_k_center_takes_one_of_each_heap_before_a_second_of_any():
    rng = np.random.default_rng(0)
    heaps = np.repeat(np.eye(6), 10, axis=0) + 0.01 * rng.normal(size=(60, 6))
    order = order_k_center(heaps, rng.random(60))
    assert sorted(place // 10 for place in order[:6]) == list(range(6))
    assert sorted(order) == list(range(60))


def test_the_least_sure_are_asked_first():
    assert order_uncertain(np.array([0.9, 0.1, 0.5]), np.zeros(3)).tolist() == [1, 2, 0]


def test_a_rule_without_its_input_says_what_is_missing():
    manifest = make_manifest([(0, 0, 0), (0, 0, 1)])
    with pytest.raises(ValueError, match="needs features"):
        choose_pictures(manifest, [0, 1], 0.5, "k-center")


def test_a_share_beyond_one_is_refused():
    with pytest.raises(ValueError, match="between 0 and 1"):
        count_share(10, 1.5)
