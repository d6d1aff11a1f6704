"""What `vl2v cache stats` counts: vectors, bytes, receipts and ages, each kind apart."""

from client.cache import EmbeddingStore, take_inventory
from tests.client.cache.shelves import DIMENSION, PRICE, REVISION, buy, digest, unit


def test_an_empty_cache_has_nothing(store) -> None:
    found = take_inventory(store.database)
    assert (found.vectors, found.shelves, found.paid_nanousd) == (0, (), 0)
    assert found.disk_bytes is not None


def test_each_kind_is_counted_apart_with_its_receipts(store) -> None:
    buy(store, range(5), refused=[4])
    buy(store, range(5, 8), purpose="evaluation")
    buy(store, [0, 1], modality="text", price=10)
    buy(store, [0, 1, 2], view="crop-1")
    buy(store, [9], revision="another")
    found = take_inventory(store.database)
    rows = {
        (s.revision, s.modality, s.purpose, s.view): (s.vectors, s.paid_nanousd)
        for s in found.shelves
    }
    assert rows == {
        (REVISION, "image", "training", "file"): (4, 4 * PRICE),
        (REVISION, "image", "evaluation", "file"): (3, 3 * PRICE),
        (REVISION, "text", "training", "file"): (2, 20),
        (REVISION, "image", "training", "crop-1"): (3, 3 * PRICE),
        ("another", "image", "training", "file"): (1, PRICE),
    }
    assert found.paid_nanousd == sum(s.paid_nanousd for s in found.shelves) == 11 * PRICE + 20
    assert found.vectors == 13
    assert all(s.models == ("toy",) for s in found.shelves)
    assert all(s.vector_bytes == s.vectors * 2 * DIMENSION for s in found.shelves)


def test_a_receipt_is_shared_by_what_it_delivered(store) -> None:
    buy(store, range(4))
    store.promote(REVISION, "image", [digest(0)])
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE embedding SET purpose = 'evaluation' WHERE id = 1")
    paid = [shelf.paid_nanousd for shelf in take_inventory(store.database).shelves]
    assert paid == [PRICE, 3 * PRICE]


def test_what_was_not_bought_here_cost_nothing_here(store) -> None:
    store.put_many(REVISION, "image", {digest(1): unit(1)})
    (shelf,) = take_inventory(store.database).shelves
    assert (shelf.models, shelf.paid_nanousd, shelf.vectors) == ((), 0, 1)
    assert shelf.oldest_ns == shelf.newest_ns is not None


def test_the_age_of_an_older_vector_is_that_of_its_receipt(store) -> None:
    buy(store, [1], at_ns=5 * 10**17)
    buy(store, [2], at_ns=7 * 10**17)
    store.put_many(REVISION, "image", {digest(3): unit(3)})
    with store.database.write() as connection:
        connection.exec_driver_sql("UPDATE embedding SET stored_ns = NULL")
    (shelf,) = take_inventory(store.database).shelves
    assert (shelf.oldest_ns, shelf.newest_ns) == (5 * 10**17, 7 * 10**17)


def test_the_log_counts_as_space_on_disk(store) -> None:
    buy(store, range(400))
    file = store.database.file
    assert file is not None
    found = take_inventory(store.database).disk_bytes
    assert found is not None
    assert found > 400 * 2 * DIMENSION


def test_a_database_server_counts_too(empty_postgres_url: str) -> None:
    with EmbeddingStore.open(empty_postgres_url) as store:
        buy(store, range(5), refused=[4])
        found = take_inventory(store.database)
        (shelf,) = found.shelves
        assert (shelf.vectors, shelf.paid_nanousd, found.disk_bytes) == (4, 4 * PRICE, None)
