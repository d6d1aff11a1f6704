"""Which regions of an embedding space an account was sold: counted alike everywhere, kept for good."""

import asyncio
from typing import Any

import numpy as np
from sqlalchemy import text

from vendor_api.coverage import BUCKETS, Coverage, find_buckets
from vendor_api.reports.coverage import list_coverage


def draw(count: int, seed: int = 0, dimension: int = 64) -> list[Any]:
    """Unit vectors in all directions."""
    vectors = np.random.default_rng(seed).normal(size=(count, dimension)).astype(np.float32)
    return list(vectors / np.linalg.norm(vectors, axis=1, keepdims=True))


def read(shop: Any) -> Any:
    with shop.database.read() as connection:
        return list_coverage(connection)


class TestRegions:
    def test_they_are_the_same_for_a_vector_alone_and_among_others(self) -> None:
        vectors = draw(50)
        together = find_buckets(vectors)
        assert [int(find_buckets([vector])[0]) for vector in vectors] == together.tolist()
        assert together.min() >= 0
        assert together.max() < BUCKETS

    def test_near_vectors_share_one_and_opposite_ones_do_not(self) -> None:
        vectors = draw(200)
        near = [vector * np.float32(3) for vector in vectors]
        assert find_buckets(near).tolist() == find_buckets(vectors).tolist()
        opposite = find_buckets([-vector for vector in vectors])
        assert (opposite == BUCKETS - 1 - find_buckets(vectors)).all()

    def test_they_do_not_change_between_versions(self) -> None:
        # Bits that are stored mean these planes: other planes would make them noise.
        ones = [np.ones(8, np.float32), np.arange(8, dtype=np.float32)]
        assert find_buckets(ones).tolist() == EXPECTED


EXPECTED = [3875, 3859]


class TestKeeping:
    async def test_sketches_of_processes_and_times_add_up(self, shop: Any) -> None:
        first, second = draw(30, seed=1), draw(30, seed=2)
        here, there = Coverage(), Coverage()
        here.observe(shop.account.id, "rev", first)
        there.observe(shop.account.id, "rev", second)
        await asyncio.gather(here.flush(shop.database), there.flush(shop.database))
        here.observe(shop.account.id, "rev", first)
        await here.flush(shop.database)
        await here.flush(shop.database)
        (row,) = read(shop)
        regions = {*find_buckets(first).tolist(), *find_buckets(second).tolist()}
        assert (row.vectors, row.touched, row.known) == (90, len(regions), len(regions))
        assert row.share_per_mille == 1000

    async def test_a_share_is_of_what_all_accounts_touch(self, shop: Any) -> None:
        other = shop.open_account("bob", "1.00")
        mine, theirs = draw(5, seed=1), draw(300, seed=2)
        coverage = Coverage()
        coverage.observe(shop.account.id, "rev", mine)
        coverage.observe(other.id, "rev", theirs)
        coverage.observe(other.id, "another", mine)
        await coverage.flush(shop.database)
        rows = {(row.account_id, row.revision): row for row in read(shop)}
        known = len({*find_buckets(mine).tolist(), *find_buckets(theirs).tolist()})
        row = rows[shop.account.id, "rev"]
        touched = len(set(find_buckets(mine).tolist()))
        assert (row.touched, row.known) == (touched, known)
        assert row.share_per_mille == touched * 1000 // known
        assert rows[other.id, "another"].share_per_mille == 1000

    async def test_what_could_not_be_written_is_written_later(self, shop: Any) -> None:
        coverage = Coverage()
        coverage.observe(shop.account.id, "rev", draw(3))
        with shop.database.write() as connection:
            connection.execute(text("ALTER TABLE coverage_sketch RENAME TO away"))
        await coverage.flush(shop.database)
        with shop.database.write() as connection:
            connection.execute(text("ALTER TABLE away RENAME TO coverage_sketch"))
        coverage.observe(shop.account.id, "rev", draw(3))
        await coverage.flush(shop.database)
        (row,) = read(shop)
        assert row.vectors == 6

    async def test_a_vendor_counts_what_it_sends_and_writes_it_at_the_end(
        self, vendor: Any, shop: Any
    ) -> None:
        assert (await vendor.embed("a", "b", "a")).status_code == 200
        await vendor.app.state.shop.coverage.flush(shop.database)
        (row,) = read(shop)
        assert (row.account_id, row.vectors) == (shop.account.id, 2)
        with shop.database.read() as connection:
            size = connection.execute(text("SELECT LENGTH(buckets) FROM coverage_sketch"))
            assert size.scalar_one() == BUCKETS // 8
