"""An archive hands vectors on: the same bytes from the same cache, and nothing bad gets in."""

import hashlib
import json
import shutil
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.numpy import save_file

from client.cache import (
    ArchiveError,
    CacheError,
    EmbeddingStore,
    ModelNotCached,
    export_archive,
    import_archive,
    verify_cache,
)
from client.cache.archive import ENTRY, NO_HASH, Header
from tests.client.cache.shelves import DIMENSION, REVISION, buy, digest, make_document, unit


@pytest.fixture
def other(home):
    with EmbeddingStore.open(home / "other.db") as opened:
        yield opened


@pytest.fixture
def file(store, tmp_path: Path) -> Path:
    buy(store, range(6))
    buy(store, range(10, 13), purpose="evaluation")
    buy(store, [0, 1], modality="text")
    buy(store, [0], view="crop-1")
    path = tmp_path / "bought.safetensors"
    export_archive(store.database, path)
    return path


def read_all(store: EmbeddingStore) -> list[tuple[Any, ...]]:
    with store.database.read() as connection:
        rows = connection.exec_driver_sql(
            "SELECT revision, modality, digest, view, purpose, vector FROM embedding"
        )
        return sorted(tuple(row) for row in rows)


class TestExport:
    def test_safetensors_itself_reads_it(self, file: Path) -> None:
        with safe_open(file, framework="numpy") as tensors:
            header = Header.model_validate_json(tensors.metadata()[ENTRY])
            assert [(s.modality, s.purpose, s.view, s.count) for s in header.shelves] == [
                ("image", "evaluation", "file", 3),
                ("image", "training", "crop-1", 1),
                ("image", "training", "file", 6),
                ("text", "training", "file", 2),
            ]
            vectors = tensors.get_tensor("2/vectors")
            digests = tensors.get_tensor("2/digests")
        assert (vectors.dtype, vectors.shape) == (np.float16, (6, DIMENSION))
        assert [row.tobytes() for row in digests] == [digest(n) for n in range(6)]
        np.testing.assert_array_equal(vectors[3], unit(3).astype(np.float16))
        assert [document.id for document in header.models] == ["toy"]

    def test_the_same_cache_gives_the_same_bytes_in_any_order(self, store, other, tmp_path) -> None:
        buy(store, [1, 2, 3])
        buy(store, [4, 5])
        buy(other, [5, 4], at_ns=7)
        buy(other, [3, 1, 2], at_ns=9)
        files = [tmp_path / "a.safetensors", tmp_path / "b.safetensors"]
        for one, path in zip((store, other), files, strict=True):
            export_archive(one.database, path)
        assert files[0].read_bytes() == files[1].read_bytes()

    def test_no_key_run_path_or_receipt_is_in_it(self, file: Path) -> None:
        text = file.read_bytes()
        for secret in (b"vl2v_", b"run", b"/tmp", b"chg_", b"req_", b"journal"):
            assert secret not in text

    def test_a_part_of_the_cache_may_be_written(self, store, tmp_path) -> None:
        buy(store, [1, 2])
        buy(store, [3], purpose="evaluation")
        buy(store, [4], revision="another")
        out = tmp_path / "x.safetensors"
        header = export_archive(store.database, out, revision=REVISION, purpose="training")
        assert sum(shelf.count for shelf in header.shelves) == 2
        assert {model.revision for model in header.models} == {REVISION}

    def test_nothing_to_write_writes_nothing(self, store, tmp_path) -> None:
        with pytest.raises(ArchiveError, match="nothing to export"):
            export_archive(store.database, tmp_path / "x.safetensors")
        assert [p.name for p in tmp_path.iterdir()] == ["home"]

    def test_a_failed_export_leaves_the_old_file(self, store, file: Path) -> None:
        before = file.read_bytes()
        with store.database.write() as connection:
            connection.exec_driver_sql("UPDATE embedding SET vector = x'00' WHERE id = 1")
        with pytest.raises(ArchiveError, match="vl2v cache verify"):
            export_archive(store.database, file)
        assert file.read_bytes() == before
        assert len([p for p in file.parent.iterdir() if "safetensors" in p.name]) == 1

    def test_a_place_that_cannot_be_written_is_named(self, store, tmp_path) -> None:
        buy(store, [1])
        (tmp_path / "f").write_text("")
        with pytest.raises(ArchiveError, match="cannot be written"):
            export_archive(store.database, tmp_path / "f" / "x.safetensors")


class TestImport:
    def test_another_cache_has_it_all_afterwards(self, store, other, file: Path) -> None:
        told: list[int] = []
        done = import_archive(other.database, file, progress=told.append)
        assert (done.added, done.present, done.models) == (12, 0, 1)
        assert sum(told) == 24
        assert read_all(other) == read_all(store)
        assert other.model("toy") == make_document()
        found = verify_cache(other.database)
        assert (found.problems, found.unjournalled) == ([], 12)
        again = import_archive(other.database, file)
        assert (again.added, again.present, again.models) == (0, 12, 0)

    def test_a_trial_run_adds_nothing(self, other, file: Path) -> None:
        assert import_archive(other.database, file, dry_run=True).added == 12
        assert other.count() == 0
        with pytest.raises(ModelNotCached):
            other.model("toy")

    def test_what_is_here_stays(self, other, file: Path) -> None:
        mine = unit(99)
        other.put_many(REVISION, "image", {digest(0): mine}, purpose="evaluation")
        document = make_document().model_copy(update={"owned_by": "me"})
        other.put_model(document)
        done = import_archive(other.database, file)
        assert (done.added, done.present, done.models) == (11, 1, 0)
        found = other.get_many(REVISION, "image", [digest(0)], purpose="evaluation")
        np.testing.assert_allclose(found[digest(0)], mine, atol=1e-3)
        assert other.get_many(REVISION, "image", [digest(0)]) == {}
        assert other.model("toy") == document

    def test_an_id_goes_on_meaning_what_was_bought_here(self, store, other, tmp_path) -> None:
        buy(store, [1], revision="older")
        buy(store, [2], revision="newer")
        out = tmp_path / "x.safetensors"
        export_archive(store.database, out)
        buy(other, [3], revision="mine")
        import_archive(other.database, out)
        assert other.model("toy").revision == "mine"
        with EmbeddingStore.open(tmp_path / "third.db") as third:
            import_archive(third.database, out)
            assert third.model("toy").revision == "newer"

    def test_many_at_once_add_each_vector_once(self, home, file: Path, store) -> None:
        import threading

        where = home / "many.db"
        failures: list[BaseException] = []
        added: list[int] = []

        def take() -> None:
            try:
                with EmbeddingStore.open(where) as mine:
                    added.append(import_archive(mine.database, file).added)
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=take) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert failures == []
        assert sum(added) == 12

    def test_a_database_server_takes_and_gives_it(self, store, file, tmp_path, empty_postgres_url):
        with EmbeddingStore.open(empty_postgres_url) as server:
            assert import_archive(server.database, file).added == 12
            back = tmp_path / "back.safetensors"
            export_archive(server.database, back)
        assert back.read_bytes() == file.read_bytes()


def rewrite(file: Path, change: Any) -> None:
    """Save the archive anew, valid as safetensors, after `change(header document, tensors)`."""
    with safe_open(file, framework="numpy") as opened:
        document = json.loads(opened.metadata()[ENTRY])
        tensors = {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    change(document, tensors)
    if "sha256" in document:
        document["sha256"] = NO_HASH
    save_file(tensors, file, metadata={ENTRY: json.dumps(document)})
    raw = file.read_bytes()
    start = 8 + struct.unpack("<Q", raw[:8])[0]
    digest = hashlib.sha256(json.dumps(document).encode() + raw[start:]).hexdigest()
    file.write_bytes(raw.replace(NO_HASH.encode(), digest.encode()))


def _swap(document, tensors):
    tensors["2/digests"] = tensors["2/digests"][::-1].copy()


def _repeat(document, tensors):
    tensors["2/digests"][1] = tensors["2/digests"][0]


def _stretch(document, tensors):
    tensors["2/vectors"] = tensors["2/vectors"] * np.float16(2)


def _poison(document, tensors):
    tensors["2/vectors"][0, 0] = np.nan


def _narrow(document, tensors):
    tensors["2/vectors"] = tensors["2/vectors"][:, :4].copy()


def _widen_all(document, tensors):
    for number, shelf in enumerate(document["shelves"]):
        shelf["dimension"] = 2 * DIMENSION
        vectors = tensors[f"{number}/vectors"]
        tensors[f"{number}/vectors"] = np.concatenate([vectors, 0 * vectors], axis=1)


def _lose(document, tensors):
    del tensors["2/vectors"]


def _rename(document, tensors):
    document["shelves"][0]["purpose"] = "fun"


def _grow(document, tensors):
    document["version"] = 2


def _blank(document, tensors):
    document.clear()


class TestBadFiles:
    @pytest.mark.parametrize(
        ("change", "said"),
        [
            (_swap, "digests out of order"),
            (_repeat, "digests out of order"),
            (_stretch, "6 image vectors of .* are not of unit length: nothing was imported"),
            (_poison, "1 image vectors of .* are not finite"),
            (_narrow, "2/vectors is not"),
            (_widen_all, "16 numbers for revision .*its own document says 8"),
            (_lose, "is no whole archive"),
            (_rename, "header of .* cannot be read"),
            (_grow, "written by a newer vl2v"),
            (_blank, "written by a newer vl2v|cannot be read"),
        ],
        ids=lambda value: getattr(value, "__name__", None),
    )
    def test_what_is_wrong_is_named_and_nothing_is_taken(self, other, file, change, said) -> None:
        rewrite(file, change)
        with pytest.raises(ArchiveError, match=said):
            import_archive(other.database, file)
        assert other.count() == 0

    def test_other_lengths_than_this_cache_has_are_refused(self, other, file) -> None:
        other.put_many(REVISION, "image", {digest(50): unit(50, 16)})
        with pytest.raises(ArchiveError, match=r"8 numbers for revision .*this cache has 16"):
            import_archive(other.database, file)
        assert other.count() == 1

    @settings(
        max_examples=40,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture],
    )
    @given(share=st.floats(0, 1), flip=st.integers(1, 255))
    def test_no_flipped_byte_is_taken(self, store, file, tmp_path, share, flip) -> None:
        copy = tmp_path / "copy.safetensors"
        raw = bytearray(file.read_bytes())
        raw[min(len(raw) - 1, int(share * len(raw)))] ^= flip
        copy.write_bytes(raw)
        with EmbeddingStore.open(tmp_path / "fresh.db") as fresh:
            known = read_all(fresh)
            try:
                import_archive(fresh.database, copy)
            except ArchiveError:
                assert read_all(fresh) == known
            else:
                # It made no difference, such as one kind of white space for another.
                assert read_all(fresh) == read_all(store)

    @pytest.mark.parametrize("keep", [0, 4, 100, -1])
    def test_a_file_that_was_cut_is_refused(self, other, file, keep) -> None:
        file.write_bytes(file.read_bytes()[:keep])
        with pytest.raises(ArchiveError, match="is no whole archive"):
            import_archive(other.database, file)

    def test_files_that_are_no_archive_are_named(self, other, tmp_path) -> None:
        plain = tmp_path / "plain.safetensors"
        save_file({"a": np.zeros(3)}, plain)
        with pytest.raises(ArchiveError, match="is not an archive of `vl2v cache export`"):
            import_archive(other.database, plain)
        with pytest.raises(ArchiveError, match="cannot be read"):
            import_archive(other.database, tmp_path / "nothing")

    def test_a_locked_cache_is_said_to_be_locked(self, home, file) -> None:
        import sqlite3

        where = home / "locked.db"
        with EmbeddingStore.open(where, busy_seconds=0.05) as mine:
            holder = sqlite3.connect(where, isolation_level=None)
            holder.execute("BEGIN IMMEDIATE")
            with pytest.raises(CacheError, match="is locked by another program"):
                import_archive(mine.database, file)
            holder.close()
            shutil.copy(file, home / "copy")
