"""What `vl2v cache verify` finds: each fault is put in and must be named; a good cache has none."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from client.cache import EmbeddingStore, Selection, drop_vectors, verify_cache
from client.cache.tables import embedding
from client.cache.vectors import STORED
from client.cache.verification import PAGE, UNIT_TOLERANCE, find_faults
from tests.client.cache.shelves import DIMENSION, REVISION, buy, digest, unit


def kinds(store: EmbeddingStore) -> list[tuple[str, int]]:
    return [(problem.kind, problem.count) for problem in verify_cache(store.database).problems]


def spoil(store: EmbeddingStore, number: int, vector: bytes) -> None:
    with store.database.write() as connection:
        connection.execute(
            update(embedding).where(embedding.c.digest == digest(number)).values(vector=vector)
        )


def test_a_good_cache_has_no_problem(store) -> None:
    buy(store, range(6), refused=[5])
    buy(store, [0, 1], modality="text")
    buy(store, [0, 1], view="crop-1")
    looked: list[int] = []
    found = verify_cache(store.database, progress=looked.append)
    assert (found.problems, found.vectors, found.unjournalled) == ([], 9, 0)
    assert sum(looked) == 9


@given(
    raw=st.lists(st.floats(-1, 1), min_size=2, max_size=600).filter(
        lambda values: np.linalg.norm(values) > 1e-2
    )
)
def test_any_unit_vector_passes_in_float16(raw) -> None:
    vector = np.array(raw) / np.linalg.norm(raw)
    assert find_faults(vector.astype(STORED)[None]) == [None]


@pytest.mark.parametrize(
    ("vector", "kind"),
    [
        (unit(1) * (1 + 2 * UNIT_TOLERANCE), "not of unit length"),
        (unit(1) * 0, "not of unit length"),
        (np.full(DIMENSION, np.nan), "not finite"),
        (np.full(DIMENSION, np.inf), "not finite"),
        (unit(1)[:-1], "not 8 numbers long"),
        (np.zeros(0), "not 8 numbers long"),
    ],
)
def test_a_spoilt_vector_is_named(store, vector, kind) -> None:
    buy(store, range(4))
    spoil(store, 2, np.asarray(vector).astype(STORED).tobytes())
    (problem,) = verify_cache(store.database).problems
    assert (problem.kind, problem.count) == (kind, 1)
    assert REVISION in problem.said
    assert digest(2).hex()[:12] in problem.said


def test_lengths_are_compared_even_without_a_document(store) -> None:
    store.put_many("r", "image", {digest(n): unit(n, 16) for n in range(3)})
    store.put_many("r", "image", {digest(9): unit(9, 8)})
    assert kinds(store) == [("not 16 numbers long", 1)]


def test_a_digest_that_is_none_is_found(store) -> None:
    store.put_many("r", "image", {b"short": unit(1)})
    assert kinds(store) == [("under a digest that is none", 1)]


def test_what_was_paid_and_is_not_here_is_found(store) -> None:
    buy(store, range(5), refused=[4])
    with store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM embedding WHERE id <= 2")
    (problem,) = verify_cache(store.database).problems
    assert (problem.kind, problem.count) == ("missing", 2)
    assert "run run has paid for are not here: run its fetch again" in problem.said


def test_a_view_does_not_stand_for_the_file(store) -> None:
    buy(store, [1], view="crop-1")
    store.put_many(REVISION, "image", {digest(1): unit(1)})
    with store.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM embedding WHERE view = 'crop-1'")
    assert kinds(store) == [("missing", 1)]


def test_what_was_dropped_on_purpose_is_not_missed(store) -> None:
    buy(store, range(5))
    drop_vectors(store.database, Selection(revision=REVISION), drop_paid=True)
    assert kinds(store) == []
    buy(store, range(5))
    assert kinds(store) == []


def test_what_was_not_bought_here_is_no_problem(store) -> None:
    buy(store, [1])
    store.put_many(REVISION, "image", {digest(2): unit(2)})
    found = verify_cache(store.database)
    assert (found.problems, found.unjournalled) == ([], 1)


@pytest.mark.parametrize("document", ["{}", "no JSON", None])
def test_a_spoilt_document_is_found(store, document) -> None:
    buy(store, [1])
    with store.database.write() as connection:
        if document is None:
            connection.exec_driver_sql("UPDATE model_document SET revision = 'other'")
        else:
            connection.exec_driver_sql("UPDATE model_document SET document = ?", (document,))
    assert kinds(store) == [("document", 1)]


def test_more_than_a_page_is_looked_at(store) -> None:
    count = PAGE + 3
    same = unit(1)
    store.put_many("r", "image", {digest(n): same for n in range(count)})
    spoil(store, count - 1, (same * 2).astype(STORED).tobytes())
    assert kinds(store) == [("not of unit length", 1)]
    assert verify_cache(store.database).vectors == count


def test_a_database_server_is_verified_too(empty_postgres_url: str) -> None:
    with EmbeddingStore.open(empty_postgres_url) as store:
        buy(store, range(3))
        assert kinds(store) == []
        spoil(store, 1, b"\0\0")
        assert kinds(store) == [("not 8 numbers long", 1)]
