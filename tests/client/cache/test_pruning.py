"""What leaves the cache leaves it on purpose: paid vectors on an explicit word, and never half a step."""

import os
import signal
from collections.abc import Callable

import pytest

from client.budget import check_books
from client.cache import (
    EmbeddingStore,
    Selection,
    drop_vectors,
    import_archive,
    plan_drop,
    verify_cache,
)
from client.cache.pruning import PAGE, Stack
from tests.client.cache.shelves import PRICE, REVISION, buy, digest, unit

EVALUATION = Selection(purpose="evaluation")


def killed_in(child: Callable[[], object]) -> None:
    """Run in a process that is killed as a power cut would."""
    pid = os.fork()
    if pid == 0:
        try:
            child()
        finally:
            os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == -signal.SIGKILL


def kill_at(count: int) -> Callable[[int], None]:
    seen = [0]

    def progress(done: int) -> None:
        seen[0] += done
        if seen[0] >= count:
            os.kill(os.getpid(), signal.SIGKILL)

    return progress


class TestPlan:
    def test_it_says_what_would_go_and_what_it_cost(self, store) -> None:
        buy(store, range(4))
        buy(store, range(10, 15), purpose="evaluation")
        buy(store, range(20, 22), purpose="evaluation", price=0, view="crop-1")
        store.put_many(REVISION, "image", {digest(30): unit(30)}, purpose="evaluation")
        assert plan_drop(store.database, EVALUATION) == [
            Stack(("toy",), (REVISION, "image", "evaluation", "crop-1"), 2, 2, 0),
            Stack(("toy",), (REVISION, "image", "evaluation", "file"), 6, 0, 5 * PRICE),
        ]
        assert store.count() == 12

    def test_a_vector_that_was_free_the_second_time_was_paid_the_first(self, store) -> None:
        buy(store, [1], price=0, key="free")
        assert plan_drop(store.database, Selection(revision=REVISION))[0].free == 1
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE journal SET max_cost_nanousd = 100")
        assert plan_drop(store.database, Selection(revision=REVISION))[0].free == 0

    @pytest.mark.parametrize(
        ("selection", "count"),
        [
            (Selection(), 7),
            (Selection(revision=REVISION), 6),
            (Selection(revision="none"), 0),
            (Selection(purpose="training"), 5),
            (Selection(before_ns=2000), 2),
            (Selection(before_ns=1000), 0),
            (Selection(revision=REVISION, purpose="evaluation", before_ns=2000), 2),
        ],
    )
    def test_conditions_narrow_together(self, store, selection, count) -> None:
        buy(store, range(4), at_ns=10**18)
        buy(store, [5, 6], purpose="evaluation", at_ns=1000)
        buy(store, [7], revision="another", at_ns=10**18)
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE embedding SET stored_ns = NULL")
        assert sum(s.vectors for s in plan_drop(store.database, selection)) == count
        assert drop_vectors(store.database, selection, drop_paid=True) == count

    def test_a_vector_of_unknown_age_is_not_old(self, store) -> None:
        store.put_many(REVISION, "image", {digest(1): unit(1)})
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE embedding SET stored_ns = NULL")
        assert plan_drop(store.database, Selection(before_ns=2**62)) == []


class TestDrop:
    def test_paid_vectors_stay_without_the_word(self, store) -> None:
        buy(store, [1, 2], purpose="evaluation")
        buy(store, [3, 4], purpose="evaluation", price=0)
        store.put_many(REVISION, "image", {digest(5): unit(5)}, purpose="evaluation")
        assert drop_vectors(store.database, EVALUATION) == 2
        assert store.held(REVISION, "image", [digest(n) for n in range(9)]) == {
            digest(n) for n in (1, 2, 5)
        }
        assert drop_vectors(store.database, EVALUATION, drop_paid=True) == 3
        assert store.count() == 0
        assert verify_cache(store.database).problems == []
        check_books(store.database)

    def test_what_is_bought_again_is_missed_again(self, store) -> None:
        buy(store, [1])
        drop_vectors(store.database, Selection(revision=REVISION), drop_paid=True)
        buy(store, [1])
        with store.database.write() as connection:
            connection.exec_driver_sql("DELETE FROM embedding")
        assert [problem.kind for problem in verify_cache(store.database).problems] == ["missing"]

    def test_space_goes_back_to_the_disk_when_asked(self, store) -> None:
        buy(store, range(4000))
        store.database.compact()
        file = store.database.file
        assert file is not None
        before = file.stat().st_size
        drop_vectors(store.database, Selection(revision=REVISION), drop_paid=True)
        store.database.compact()
        assert file.stat().st_size < before / 1.5
        assert verify_cache(store.database).problems == []

    def test_killed_in_the_middle_it_is_whole_and_goes_on(self, store, home) -> None:
        count = 3 * PAGE
        buy(store, range(count))
        store.close()

        def drop() -> None:
            with EmbeddingStore.open(home / "client.db") as other:
                selection = Selection(revision=REVISION)
                progress = kill_at(2 * PAGE)
                drop_vectors(other.database, selection, drop_paid=True, progress=progress)

        killed_in(drop)
        assert store.count() == PAGE
        assert verify_cache(store.database).problems == []
        left = drop_vectors(store.database, Selection(revision=REVISION), drop_paid=True)
        assert (left, store.count()) == (PAGE, 0)
        assert verify_cache(store.database).problems == []

    def test_a_database_server_drops_too(self, empty_postgres_url: str) -> None:
        with EmbeddingStore.open(empty_postgres_url) as store:
            buy(store, [1, 2])
            buy(store, [3], price=0, purpose="evaluation")
            assert drop_vectors(store.database, Selection(revision=REVISION)) == 1
            assert drop_vectors(store.database, Selection(revision=REVISION), drop_paid=True) == 2
            assert verify_cache(store.database).problems == []
            store.database.compact()


class TestKilledImport:
    def test_an_import_killed_in_the_middle_is_whole_and_goes_on(self, store, home, tmp_path):
        from client.cache import export_archive

        file = tmp_path / "bought.safetensors"
        count = 1700
        buy(store, range(count))
        export_archive(store.database, file)
        where = home / "other.db"

        def take() -> None:
            with EmbeddingStore.open(where) as other:
                # Each vector is told of twice: once checked, once added.
                import_archive(other.database, file, progress=kill_at(count + 1000))

        killed_in(take)
        with EmbeddingStore.open(where) as other:
            assert other.count() == 1000
            assert verify_cache(other.database).problems == []
            done = import_archive(other.database, file)
            assert (done.added, done.present, other.count()) == (700, 1000, count)
            assert verify_cache(other.database).problems == []
