"""The rotation itself: orthogonal, secret, the same for ever; and what it does not prevent."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vendor_api.spaces import Spaces
from vendor_api.spaces.rotations import Rotation, derive_rotation, derive_seed, draw_orthogonal

PEPPER = b"p" * 32
NAMES = st.lists(st.text(max_size=8), max_size=4)


def units(count, dimension, seed=0):
    vectors = np.random.default_rng(seed).normal(size=(count, dimension))
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def cosines(left, right):
    return left.astype(np.float64) @ right.astype(np.float64).T


@pytest.mark.parametrize("dimension", [1, 2, 3, 16, 512])
def test_a_rotation_is_orthogonal(dimension):
    matrix = draw_orthogonal(b"s" * 32, dimension)
    np.testing.assert_allclose(matrix @ matrix.T, np.eye(dimension), atol=1e-12)


def test_blocks_of_columns_are_the_whole_matrix():
    for dimension in (1, 31, 32, 33, 100):
        matrix, vectors = draw_orthogonal(b"s" * 32, dimension), units(70, dimension)
        rotation = Rotation.of(matrix)
        np.testing.assert_array_equal(rotation.matrix, matrix.astype(np.float32))
        turned = np.stack(rotation.turn(list(vectors)))
        np.testing.assert_allclose(turned, vectors @ matrix, atol=1e-6)
    assert rotation.turn([]) == []


@pytest.mark.parametrize("dimension", [4, 512])
def test_every_cosine_stays_what_it_was(dimension):
    images, texts = units(50, dimension, seed=1), units(9, dimension, seed=2)
    rotation = derive_rotation(b"secret", dimension, "ada")
    turned = np.stack(rotation.turn(list(np.concatenate((images, texts)))))
    there, here = turned[:50], turned[50:]
    np.testing.assert_allclose(cosines(there, there), cosines(images, images), atol=1e-6)
    np.testing.assert_allclose(cosines(there, here), cosines(images, texts), atol=1e-6)
    assert turned.dtype == np.float32
    # … and the vectors are not where they were.
    assert np.abs(np.sum(there * images, axis=1)).mean() < 0.9


def test_the_generator_draws_the_same_matrix_for_ever():
    # Another numpy, or another LAPACK, must give these numbers too: clients keep vectors for years.
    expected = [
        [0.19668707892128823, -0.9804663140492952],
        [-0.9804663140492952, -0.196687078921288],
    ]
    np.testing.assert_allclose(draw_orthogonal(bytes(range(32)), 2), expected, atol=1e-12)


def test_rotations_are_uniform():
    first = np.stack([draw_orthogonal(derive_seed(b"k", str(n)), 3)[0] for n in range(3000)])
    # A uniform direction: mean nought, second moment a third of the identity.
    np.testing.assert_allclose(first.mean(axis=0), 0, atol=0.05)
    np.testing.assert_allclose(first.T @ first / len(first), np.eye(3) / 3, atol=0.05)


@given(NAMES, NAMES)
@settings(deadline=None)
def test_other_names_have_another_seed(left, right):
    assert (derive_seed(b"k", *left) == derive_seed(b"k", *right)) == (left == right)


def test_a_space_has_one_rotation_for_each_revision_and_account():
    spaces = Spaces(PEPPER)
    ada, bob = spaces.name("acct_ada", 1), spaces.name("acct_bob", 1)
    again = Spaces(PEPPER)
    assert again.name("acct_ada", 1) == ada
    one = spaces.derive(ada, "rev", 8).matrix
    np.testing.assert_array_equal(again.derive(ada, "rev", 8).matrix, one)
    for other in (
        spaces.derive(bob, "rev", 8),
        spaces.derive(ada, "rev2", 8),
        spaces.derive(spaces.name("acct_ada", 2), "rev", 8),
        Spaces(b"q" * 32).derive(ada, "rev", 8),
    ):
        assert np.abs(other.matrix - one).max() > 0.1


def test_spaces_have_different_public_names_that_say_nothing():
    spaces = Spaces(PEPPER)
    names = {spaces.name(f"acct_{n}", serial).id for n in range(50) for serial in (1, 2)}
    assert len(names) == 100
    assert all(len(name) == 9 and name[0] == "s" for name in names)
    assert Spaces(b"q" * 32).name("acct_0", 1).id not in names


async def test_the_oldest_rotation_is_forgotten_and_made_again():
    spaces = Spaces(PEPPER, kept_bytes=3 * 8 * 32 * 4)
    ada = spaces.name("acct_ada", 1)
    with ThreadPoolExecutor(2) as pool:
        first = await spaces.open(ada, revision="r0", dimension=8, pool=pool)
        assert await spaces.open(ada, revision="r0", dimension=8, pool=pool) is first
        for n in range(1, 4):
            await spaces.open(ada, revision=f"r{n}", dimension=8, pool=pool)
        again = await spaces.open(ada, revision="r0", dimension=8, pool=pool)
    assert again is not first
    np.testing.assert_array_equal(again.matrix, first.matrix)


async def test_many_first_requests_make_one_rotation():
    spaces = Spaces(PEPPER)
    ada = spaces.name("acct_ada", 1)
    with ThreadPoolExecutor(4) as pool:
        opening = [spaces.open(ada, revision="r", dimension=64, pool=pool) for _ in range(8)]
        first, *others = await asyncio.gather(*opening)
    assert all(other is first for other in others)


def test_the_same_pictures_from_two_accounts_give_the_rotation_away():
    """What the documentation says is not prevented: Procrustes' problem, solved in one line."""
    dimension = 32
    plain = units(2 * dimension, dimension)
    rotation = derive_rotation(b"secret", dimension, "ada")
    # As sold: float16.
    private = np.stack(rotation.turn(list(plain))).astype(np.float16).astype(np.float32)
    left, _, right = np.linalg.svd(plain.T @ private)
    found = left @ right
    assert np.abs(found - rotation.matrix).max() < 2e-3
    fresh = units(10, dimension, seed=9)
    brought_back = np.stack(rotation.turn(list(fresh))) @ found.T
    assert np.sum(brought_back * fresh, axis=1).min() > 0.9999
