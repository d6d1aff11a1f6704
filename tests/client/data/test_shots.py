"""A few labelled pictures of each class and domain: how many, which, and the same ones in a larger draw."""

from collections import Counter
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from client.data.manifest import Manifest, Picture
from client.data.shots import draw_shots


def make_manifest(cells: list[tuple[int, int, int]]) -> Manifest:
    """Pictures of (domain, class, drawing) numbers."""
    pictures = tuple(
        Picture(f"{d}/{c}/{n}.png", f"d{d}", f"c{c}", n.to_bytes(32, "big"), f"c{c}-g{g}")
        for n, (d, c, g) in enumerate(cells)
    )
    domains = tuple(sorted({picture.domain for picture in pictures}))
    classes = tuple(sorted({picture.label for picture in pictures}))
    return Manifest(Path("x"), pictures, domains, classes, ())


cells = st.lists(
    st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 9)), min_size=1, max_size=60
)


@given(cells, st.integers(1, 6), st.integers(0, 3))
def test_each_class_and_domain_has_so_many_or_all_it_has(found, shots, seed):
    manifest = make_manifest(found)
    rows = list(range(len(found)))
    drawn = draw_shots(manifest, rows, shots, seed=seed)
    had = Counter((d, c) for d, c, _ in found)
    has = Counter(found[row][:2] for row in drawn)
    assert has == {cell: min(shots, count) for cell, count in had.items()}
    assert drawn == sorted(set(drawn))


@given(cells, st.integers(1, 6), st.integers(0, 3))
def test_a_smaller_draw_is_a_part_of_a_larger_one(found, shots, seed):
    manifest, rows = make_manifest(found), list(range(len(found)))
    smaller = draw_shots(manifest, rows, shots, seed=seed)
    assert set(smaller) <= set(draw_shots(manifest, rows, shots + 1, seed=seed))


@given(cells, st.integers(1, 6), st.integers(0, 3))
def test_a_domain_draws_the_same_whatever_other_domains_there_are(found, shots, seed):
    manifest, rows = make_manifest(found), list(range(len(found)))
    own = [row for row in rows if found[row][0] == found[0][0]]
    together = draw_shots(manifest, rows, shots, seed=seed)
    assert draw_shots(manifest, own, shots, seed=seed) == [r for r in together if r in own]


def test_a_drawing_that_all_domains_have_is_taken_in_all_of_them():
    manifest = make_manifest([(d, 0, g) for d in range(3) for g in range(20)])
    drawn = draw_shots(manifest, range(60), 4)
    assert set(Counter(manifest.pictures[row].group for row in drawn).values()) == {3}


def test_the_seed_draws_others():
    manifest = make_manifest([(0, 0, g) for g in range(40)])
    assert draw_shots(manifest, range(40), 8, seed=0) != draw_shots(manifest, range(40), 8, seed=1)
