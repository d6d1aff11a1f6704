"""Opening the cache: new, damaged, locked, newer, elsewhere."""

import sqlite3
import threading
from pathlib import Path

import pytest
from alembic.script import ScriptDirectory
from sqlalchemy.exc import IntegrityError

from client.cache import CacheError, EmbeddingStore, check_integrity, open_database
from client.cache.locks import LockHeld, file_lock
from client.cache.tables import SCHEMA_HEAD, metadata
from shared.migrating import downgrade, find_scripts, upgrade


def test_a_new_file_is_made_with_its_folder_and_migrated(tmp_path: Path) -> None:
    file = tmp_path / "deep" / "er" / "client.db"
    with EmbeddingStore.open(file) as store:
        assert store.count() == 0
        assert store.database.file == file
    rows = sqlite3.connect(file).execute("SELECT version_num FROM alembic_version").fetchall()
    assert rows == [(SCHEMA_HEAD,)]


def test_the_schema_head_is_the_newest_migration() -> None:
    folder = find_scripts() / "client" / "versions"
    scripts = ScriptDirectory(str(find_scripts()), version_locations=[str(folder)])
    assert scripts.get_heads() == [SCHEMA_HEAD]


def test_the_migrations_make_exactly_the_tables_of_this_version(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade("client", url)
    with open_database(url).read() as connection:
        migrated = _read_schema(connection)
    with open_database(tmp_path / "b.db").write() as connection:
        for table in reversed(metadata.sorted_tables):
            connection.exec_driver_sql(f"DROP TABLE {table.name}")
        metadata.create_all(connection)
        made = _read_schema(connection)
    assert migrated == made


def test_a_downgrade_leaves_no_table_of_ours(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'a.db'}"
    upgrade("client", url)
    downgrade("client", url, "base")
    names = sqlite3.connect(tmp_path / "a.db").execute("SELECT name FROM sqlite_master").fetchall()
    assert not {name for (name,) in names} & {table.name for table in metadata.sorted_tables}


def test_two_commands_may_open_a_new_file_at_once(tmp_path: Path) -> None:
    file = tmp_path / "client.db"
    failures: list[BaseException] = []

    def open_it() -> None:
        try:
            open_database(file).close()
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=open_it) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_corrupt_cache_is_kept_and_the_sentence_says_how_to_move_it(tmp_path: Path) -> None:
    file = tmp_path / "client.db"
    file.write_bytes(b"garbage " * 1000)
    with pytest.raises(CacheError, match=r"is damaged .*vl2v doctor.* mv .*client\.db"):
        EmbeddingStore.open(file)
    assert file.read_bytes() == b"garbage " * 1000


def test_corrupt_pages_are_found_by_the_check(tmp_path: Path) -> None:
    file = tmp_path / "client.db"
    store = EmbeddingStore.open(file)
    store.put_many("r", "image", {bytes([n]) * 32: _row(n) for n in range(200)})
    check_integrity(store.database)
    with store.database.read() as connection:
        root = connection.exec_driver_sql(
            "SELECT rootpage FROM sqlite_master WHERE name = 'embedding'"
        ).scalar_one()
        size = connection.exec_driver_sql("PRAGMA page_size").scalar_one()
    with sqlite3.connect(file) as raw:
        raw.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    raw.close()
    store.close()
    with file.open("r+b") as raw_file:
        raw_file.seek((root - 1) * size)
        raw_file.write(b"\xff" * size)
    with EmbeddingStore.open(file) as damaged, pytest.raises(CacheError, match="is damaged"):
        check_integrity(damaged.database)
    with EmbeddingStore.open(file) as damaged, pytest.raises(CacheError, match="nothing was delet"):
        damaged.get_many("r", "image", [bytes([7]) * 32])


def test_locked_cache_says_to_wait(tmp_path: Path) -> None:
    file = tmp_path / "client.db"
    with EmbeddingStore.open(file, busy_seconds=0.05) as store:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(CacheError, match="is locked by another program: wait for it"):
            store.put_many("r", "image", {b"1" * 32: _row(1)})
        assert store.count() == 0
        other.execute("ROLLBACK")
        other.close()
        store.put_many("r", "image", {b"1" * 32: _row(1)})
        assert store.count() == 1


def test_a_file_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    file = tmp_path / "client.db"
    open_database(file).close()
    with sqlite3.connect(file) as raw:
        raw.execute("UPDATE alembic_version SET version_num = 'c9999'")
    raw.close()
    with pytest.raises(CacheError, match=r"another version .*pip install --upgrade vl2v"):
        open_database(file)


def test_a_folder_that_cannot_be_made_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(CacheError, match="cannot be used"):
        open_database(tmp_path / "file" / "client.db")


def test_a_folder_in_the_place_of_the_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(CacheError, match="check that its folder can be written to"):
        open_database(tmp_path)


@pytest.mark.parametrize("url", ["sqlite//nope://", "oracle://x/y", "nosuch://host/db"])
def test_a_url_that_no_driver_takes_is_refused(url: str) -> None:
    with pytest.raises(CacheError, match="VL2V_CACHE_URL"):
        open_database(url)


def test_a_mistake_of_the_program_is_not_blamed_on_the_file(tmp_path: Path) -> None:
    database = open_database(tmp_path / "client.db")
    insert = (
        "INSERT INTO budget (run, cap_nanousd, held_nanousd, spent_nanousd) VALUES ('r',0,-1,0)"
    )
    with pytest.raises(IntegrityError), database.write() as connection:
        connection.exec_driver_sql(insert)


def test_the_same_store_works_on_postgresql(empty_postgres_url: str) -> None:
    with EmbeddingStore.open(empty_postgres_url) as store:
        store.put_many("r", "image", {b"1" * 32: _row(1)}, purpose="evaluation")
        store.put_many("r", "image", {b"1" * 32: _row(1)})
        assert store.count(purpose="training") == 1
        assert store.database.file is None
        check_integrity(store.database)
    with EmbeddingStore.open(empty_postgres_url.replace("+psycopg", "")) as again:
        assert again.count() == 1


def test_a_lock_file_admits_one_holder(tmp_path: Path) -> None:
    path = tmp_path / "x" / "a.lock"
    with file_lock(path, wait=False), pytest.raises(LockHeld), file_lock(path, wait=False):
        pass
    with file_lock(path, wait=True):
        pass


def _read_schema(connection) -> set[str]:
    said = connection.exec_driver_sql("SELECT sql FROM sqlite_master").scalars()
    # A column added later stands on its line's end.
    return {" ".join(sql.split()) for sql in said if sql}


def _row(number: int):
    import numpy as np

    return np.full(256, number, dtype=np.float32)
