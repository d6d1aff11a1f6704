"""A cache of an earlier version opens with everything in it, and a copy of what it was beside it."""

import os
import shutil
import sqlite3
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import numpy as np
import pytest

from client.budget import Budgets, Journal, Settlement, check_books
from client.cache import CacheError, EmbeddingStore, open_database
from client.cache.copies import keep_copy
from client.cache.tables import SCHEMA_HEAD
from shared.migrating import downgrade, upgrade

VECTOR = np.full(4, 0.5, dtype="<f2")
COPY = f"client.db.before-{SCHEMA_HEAD}"


def digest(number: int) -> bytes:
    return number.to_bytes(32, "big")


def write_old_file(file: Path) -> Path:
    """A file of the first version: settled, open, failed and opened-again requests of two runs."""
    upgrade("client", f"sqlite:///{file}", "c0001")
    batches = [
        # run, key, state, cost, held, items, failed
        ("a", "k1", "settled", 300, 0, 4, 1),
        ("a", "k2", "unknown", None, 200, 2, 0),
        ("a", "k3", "failed", None, 0, 5, 0),
        ("b", "k4", "sent", 100, 0, 1, 0),
    ]
    with closing(sqlite3.connect(file)) as raw, raw:
        raw.execute("PRAGMA journal_mode=WAL")
        raw.execute("INSERT INTO budget VALUES (1, 'a', 1000, 200, 300), (2, 'b', 500, 0, 100)")
        for number, (run, key, state, cost, held, items, failed) in enumerate(batches, 1):
            raw.execute(
                "INSERT INTO journal (id, run, idempotency_key, state, model_id, revision, modality,"
                " purpose, max_cost_nanousd, held_nanousd, cost_nanousd, planned_ns, closed_ns)"
                " VALUES (?, ?, ?, ?, 'toy', 'r1', 'image', 'training', ?, ?, ?, 1, ?)",
                (number, run, key, state, items * 100, held, cost, number * 10**9),
            )
            raw.executemany(
                "INSERT INTO journal_item (journal_id, position, digest, error_code)"
                " VALUES (?, ?, ?, ?)",
                [
                    (number, at, digest(10 * number + at), "invalid_image" if at < failed else None)
                    for at in range(items)
                ],
            )
        raw.executemany(
            "INSERT INTO embedding (revision, modality, digest, view, purpose, vector)"
            " VALUES ('r1', 'image', ?, 'file', 'training', ?)",
            [(digest(10 + at), VECTOR.tobytes()) for at in (1, 2, 3)],
        )
    return file


@pytest.fixture
def old(tmp_path: Path) -> Path:
    return write_old_file(tmp_path / "client.db")


def count_items(file: Path) -> dict[str, tuple[int, int, int]]:
    with open_database(file).read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT name, held_items, spent_items, spent_nanousd FROM project"
            " UNION ALL SELECT run, held_items, spent_items, spent_nanousd FROM budget"
        )
        return {name: tuple(sums) for name, *sums in rows}


class TestOpening:
    def test_everything_is_there_and_the_books_agree(self, old: Path) -> None:
        with EmbeddingStore.open(old) as store:
            found = store.get_many("r1", "image", [digest(11), digest(12), digest(13)])
            assert len(found) == 3
            np.testing.assert_array_equal(found[digest(11)], VECTOR.astype(np.float32))
            assert "2 runs, $0.0000004 spent" in check_books(store.database)

    def test_items_are_counted_from_the_journal(self, old: Path) -> None:
        assert count_items(old) == {
            "default": (2, 4, 400),
            "a": (2, 3, 300),
            "b": (0, 1, 100),
        }

    def test_open_requests_close_as_they_would_have(self, old: Path) -> None:
        with EmbeddingStore.open(old) as store:
            journal, budgets = Journal(store.database), Budgets(store.database)
            assert journal.settle("k2", Settlement(200)) == 200
            assert journal.settle("k4", Settlement(100)) == 0
            check_books(store.database)
            found = budgets.get("a")
            assert found is not None
            assert (found.held_items, found.spent_items, found.spent_nanousd) == (0, 5, 500)

    def test_it_goes_back_too(self, old: Path) -> None:
        before = _dump(old)
        open_database(old).close()
        downgrade("client", f"sqlite:///{old}", "c0001")
        assert _dump(old) == before
        open_database(old).close()


class TestCopy:
    def test_the_copy_is_the_old_file(self, old: Path) -> None:
        before = _dump(old)
        old.chmod(0o600)
        open_database(old).close()
        copy = old.with_name(COPY)
        assert _dump(copy) == before
        assert copy.stat().st_mode & 0o777 == 0o600
        assert not list(old.parent.glob(f".{COPY}*"))
        assert not list(old.parent.glob(f"{COPY}-*"))

    def test_a_new_file_and_one_of_this_version_are_not_copied(self, tmp_path: Path) -> None:
        for _ in range(2):
            open_database(tmp_path / "client.db").close()
        assert not (tmp_path / COPY).exists()

    def test_a_file_of_a_newer_version_is_neither_copied_nor_changed(self, old: Path) -> None:
        with closing(sqlite3.connect(old)) as raw, raw:
            raw.execute("UPDATE alembic_version SET version_num = 'c9999'")
        before = _dump(old)
        with pytest.raises(CacheError, match="another version"):
            open_database(old)
        assert _dump(old) == before
        assert not old.with_name(COPY).exists()

    def test_without_a_copy_nothing_is_changed(self, old: Path) -> None:
        before = _dump(old)
        # A folder stands where the copy belongs.
        (old.with_name(COPY) / "in the way").mkdir(parents=True)
        with pytest.raises(CacheError, match="cannot be used"):
            open_database(old)
        assert _dump(old) == before

    def test_a_copy_holds_what_is_still_in_the_log(self, old: Path) -> None:
        with closing(sqlite3.connect(old)) as writer:
            writer.execute("UPDATE budget SET cap_nanousd = 7")
            writer.commit()
            assert old.with_name("client.db-wal").stat().st_size > 0
            copy = keep_copy(old, "copy")
        with closing(sqlite3.connect(copy)) as raw:
            assert raw.execute("SELECT DISTINCT cap_nanousd FROM budget").fetchall() == [(7,)]


class TestMany:
    def test_threads_and_processes_may_open_it_at_once(self, old: Path) -> None:
        before = _dump(old)
        children = [_fork(old) for _ in range(2)]
        threads = [threading.Thread(target=lambda: open_database(old).close()) for _ in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in children] == [0, 0]
        assert _dump(old.with_name(COPY)) == before
        assert count_items(old)["default"] == (2, 4, 400)

    def test_killed_while_migrating_it_is_whole_and_migrates_again(self, old: Path) -> None:
        before = _dump(old)
        pid = os.fork()
        if pid == 0:
            upgrade("client", f"sqlite:///{old}", before=lambda: os._exit(9))
            os._exit(1)
        assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 9
        assert _dump(old) == before
        assert count_items(old)["default"] == (2, 4, 400)


def test_postgresql_is_migrated_without_a_copy(empty_postgres_url: str) -> None:
    upgrade("client", empty_postgres_url, "c0001")
    with EmbeddingStore.open(empty_postgres_url) as store:
        Budgets(store.database).set_cap("run", 5)
        assert "1 runs" in check_books(store.database)
    downgrade("client", empty_postgres_url, "c0001")
    upgrade("client", empty_postgres_url)


def _fork(file: Path) -> int:
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            open_database(file).close()
            code = 0
        finally:
            os._exit(code)
    return pid


def _dump(file: Path) -> list[str]:
    return list(_lines(file))


def _lines(file: Path) -> Iterator[str]:
    # Read from a copy: a dump must not leave a log beside the file under test.
    folder = file.parent / "dump"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    for part in (file, file.with_name(f"{file.name}-wal")):
        if part.exists():
            shutil.copy(part, folder / part.name)
    with closing(sqlite3.connect(folder / file.name)) as raw:
        for line in raw.iterdump():
            # SQLite writes quotes around a name that was changed back.
            yield " ".join(line.replace('"', "").split())
