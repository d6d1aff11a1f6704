"""Splits that stay put."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data import Manifest, Picture, split_pictures

groups = st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=60)


def make_manifest(names: list[str], domain: str = "d") -> Manifest:
    pictures = tuple(
        Picture(f"{domain}/c/{i}.png", domain, "c", bytes([i % 256]) * 32, name)
        for i, name in enumerate(names)
    )
    return Manifest(Path("/data"), pictures, (domain,), ("c",), ())


@given(groups, st.integers(0, 5))
def test_every_picture_is_on_exactly_one_side(names: list[str], seed: int) -> None:
    manifest = make_manifest(names)
    split = split_pictures(manifest, seed=seed)
    assert sorted(split.training + split.validation) == list(range(len(names)))


@given(groups, st.integers(0, 5))
def test_a_group_never_parts(names: list[str], seed: int) -> None:
    manifest = make_manifest(names)
    split = split_pictures(manifest, seed=seed)
    sides = [
        {manifest.pictures[i].group for i in side} for side in (split.training, split.validation)
    ]
    assert not sides[0] & sides[1]


@given(groups, st.lists(st.text(min_size=1, max_size=8), max_size=20), st.integers(0, 5))
def test_adding_files_moves_no_other(names: list[str], more: list[str], seed: int) -> None:
    before = split_pictures(make_manifest(names), seed=seed)
    after = split_pictures(make_manifest(names + more), seed=seed)
    old = set(range(len(names)))
    assert set(before.validation) == set(after.validation) & old


def test_about_a_fifth_of_each_domain_is_held_out() -> None:
    names = [f"drawing-{i}" for i in range(5000)]
    assert 900 < len(split_pictures(make_manifest(names)).validation) < 1100


def test_the_split_of_seed_0_is_fixed_for_ever() -> None:
    names = [f"drawing-{i}" for i in range(30)]
    assert split_pictures(make_manifest(names)).validation == (0, 21)


def test_another_seed_is_another_split_and_a_drawing_is_on_one_side_in_all_domains() -> None:
    names = [f"drawing-{i}" for i in range(200)]
    first = split_pictures(make_manifest(names)).validation
    assert first != split_pictures(make_manifest(names), seed=1).validation
    assert first == split_pictures(make_manifest(names, "other")).validation


def test_a_holdout_that_is_no_share_is_refused() -> None:
    with pytest.raises(ValueError, match="between 0 and 1"):
        split_pictures(make_manifest(["a"]), holdout=1.5)
    assert split_pictures(make_manifest(["a"]), holdout=0).validation == ()
    assert split_pictures(make_manifest(["a"]), holdout=1).training == ()
