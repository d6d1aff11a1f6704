"""Which classes are unseen, and which of their pictures are shots."""

import itertools
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from client.data.class_split import draw_shots, keep_pictures, split_classes
from client.data.manifest import DataError, Manifest, Picture
from client.data.splits import Split

names = st.lists(st.text("abcdefgh", min_size=1, max_size=6), min_size=4, max_size=30, unique=True)


def make_manifest(groups: dict[str, list[str]]) -> tuple[Manifest, Split]:
    """Class → the group of each of its pictures; every picture trains."""
    pictures = [
        Picture(f"ink/{label}/{number}.png", "ink", label, bytes([number]) * 32, group)
        for label, found in sorted(groups.items())
        for number, group in enumerate(found)
    ]
    manifest = Manifest(Path("/data"), tuple(pictures), ("ink",), tuple(sorted(groups)), ())
    return manifest, Split(tuple(range(len(pictures))), ())


class TestHalves:
    @given(classes=names, seed=st.integers(0, 50))
    def test_are_disjoint_complete_and_equal(self, classes, seed):
        found = split_classes(classes, seed=seed)
        assert sorted((*found.seen, *found.unseen)) == sorted(classes)
        assert len(found.seen) - len(found.unseen) == len(classes) % 2

    @given(classes=names, seed=st.integers(0, 50), order=st.randoms())
    def test_depend_on_the_names_alone_not_on_their_order(self, classes, seed, order):
        shuffled = list(classes)
        order.shuffle(shuffled)
        assert split_classes(shuffled, seed=seed) == split_classes(classes, seed=seed)

    def test_differ_from_split_to_split(self):
        classes = [f"class{k}" for k in range(40)]
        assert len({split_classes(classes, seed=s).unseen for s in range(20)}) == 20

    def test_every_class_is_unseen_in_about_half_of_the_splits(self):
        classes = [f"class{k}" for k in range(10)]
        count = Counter(name for s in range(400) for name in split_classes(classes, seed=s).unseen)
        assert all(140 < count[name] < 260 for name in classes)

    def test_stay_as_they_are_for_ever(self):
        found = split_classes(["cat", "dog", "fish", "horse", "insect"], seed=0)
        assert found.unseen == ("fish", "insect")

    def test_three_classes_are_too_few(self):
        with pytest.raises(DataError, match="at least four"):
            split_classes(["a", "b", "c"])


class TestShots:
    def test_are_of_different_drawings(self):
        manifest, split = make_manifest({"a": ["x", "x", "y", "z"], "b": ["u", "v"]})
        shots = draw_shots(manifest, split, ["a"], 3)
        assert sorted(manifest.pictures[i].group for i in shots) == ["x", "y", "z"]

    def test_a_smaller_draw_is_part_of_a_larger_one(self):
        manifest, split = make_manifest({"a": [f"g{k}" for k in range(20)]})
        draws = [set(draw_shots(manifest, split, ["a"], k, seed=3)) for k in (1, 2, 5, 20, 30)]
        assert [len(draw) for draw in draws] == [1, 2, 5, 20, 20]
        assert all(small <= large for small, large in itertools.pairwise(draws))

    def test_the_seed_matters(self):
        manifest, split = make_manifest({"a": [f"g{k}" for k in range(20)]})
        assert len({draw_shots(manifest, split, ["a"], 3, seed=s) for s in range(8)}) > 4

    def test_only_training_pictures_are_drawn(self):
        manifest, _ = make_manifest({"a": [f"g{k}" for k in range(6)]})
        split = Split((0, 1), (2, 3, 4, 5))
        assert draw_shots(manifest, split, ["a"], 5) == (0, 1)


def test_keeping_pictures_keeps_their_order_and_their_side_of_the_split():
    manifest, _ = make_manifest({"a": ["p", "q"], "b": ["r", "s"]})
    smaller, split = keep_pictures(manifest, Split((0, 3), (1, 2)), [3, 2, 0], ("a", "b"))
    assert [p.group for p in smaller.pictures] == ["p", "r", "s"]
    assert (split.training, split.validation) == ((0, 2), (1,))
