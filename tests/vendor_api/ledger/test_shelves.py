"""What was bought is found, however much it is, however it came, and whoever wrote it."""

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from vendor_api.db import read_clock
from vendor_api.db.tables import purchase_lot
from vendor_api.ledger.lots import NewLot, Shelf, write_lots
from vendor_api.ledger.reservation import reserve
from vendor_api.ledger.shelves import RECENT_ITEMS, Found, Shelves


def digest(n):
    """As good as random, and the same every time."""
    return (n * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128).to_bytes(16, "big") * 2


@pytest.fixture
def charge_id(shop):
    """Of the shop's account; any lot may name it."""
    with shop.database.write() as connection:
        return reserve(connection, read_clock(connection), shop.reserve("k", "a")).charge_id


@pytest.fixture
def shelf(shop):
    return Shelf(shop.account.id, "a revision", "image")


@pytest.fixture
def store(shop, charge_id):
    """Writes lots, each bought at its number unless told otherwise."""

    def write(shelf, number, *digests, at=None):
        with shop.database.write() as connection:
            lot = NewLot(shelf, number, charge_id, digests)
            write_lots(connection, number if at is None else at, [lot])

    return write


@pytest.fixture
def find(shop):
    def look(shelves, shelf, *digests):
        with shop.database.read() as connection:
            return shelves.find(connection, shelf, digests, committed=True)

    return look


def test_an_empty_shelf_holds_nothing(find, shelf):
    assert find(Shelves(), shelf, digest(1)) == Found(0, {})
    assert find(Shelves(), shelf) == Found(0, {})


def test_an_item_bought_twice_was_bought_last(store, find, shelf):
    shelves = Shelves()
    store(shelf, 1, digest(1), digest(2))
    store(shelf, 2, digest(2), digest(3))
    wanted = [digest(n) for n in range(5)]
    assert find(shelves, shelf, *wanted) == (2, {digest(1): 1, digest(2): 2, digest(3): 2})


def test_shelves_are_apart(store, find, shelf):
    shelves = Shelves()
    store(shelf, 1, digest(1))
    for other in (shelf._replace(modality="text"), shelf._replace(revision="another")):
        assert find(shelves, other, digest(1)) == (0, {})
    assert find(shelves, shelf, digest(1)) == (1, {digest(1): 1})


@pytest.mark.parametrize("first", [1, RECENT_ITEMS + 1, 3 * RECENT_ITEMS])
def test_nothing_is_missed_while_a_shelf_fills(store, find, shelf, first):
    shelves, sizes = Shelves(), (first, 1, RECENT_ITEMS, 700, 700, 700, 5, RECENT_ITEMS + 7, 1)
    bought = 0
    for number, size in enumerate(sizes, start=1):
        store(shelf, number, *map(digest, range(bought, bought + size)))
        old, bought = bought, bought + size
        asked = {0, old - 1, old, old + size // 2, bought - 1, bought, bought + 1}
        here = {digest(n) for n in asked if 0 <= n < bought}
        for each in (shelves, Shelves()):
            found = find(each, shelf, *map(digest, asked - {-1}))
            assert found.last == number
            assert set(found.bought_at) == here
            assert all(found.bought_at[digest(n)] == number for n in (old, bought - 1))


def test_digests_that_begin_alike_are_told_apart(store, find, shelf):
    shelves = Shelves()
    alike = [bytes(31) + bytes([n]) for n in range(4)]
    store(shelf, 1, *map(digest, range(RECENT_ITEMS + 1)), alike[0])
    store(shelf, 2, alike[1])
    assert find(shelves, shelf, *alike) == (2, {alike[0]: 1, alike[1]: 2})


def test_what_is_found_is_what_the_database_says_now(shop, store, find, shelf):
    shelves = Shelves()
    store(shelf, 1, digest(1))
    assert find(shelves, shelf, digest(1)) == (1, {digest(1): 1})
    with shop.database.write() as connection:
        connection.exec_driver_sql("UPDATE purchase_lot SET bought_at = 77")
    assert find(shelves, shelf, digest(1)) == (1, {digest(1): 77})


def test_what_is_not_committed_is_seen_and_not_remembered(shop, charge_id, shelf, find):
    shelves = Shelves()

    with shop.database.write() as connection:
        write_lots(connection, 5, [NewLot(shelf, 1, charge_id, [digest(1)])])
        assert shelves.find(connection, shelf, [digest(1)]) == (1, {digest(1): 5})
        connection.rollback()
    assert find(shelves, shelf, digest(1)) == (0, {})
    with shop.database.write() as connection:
        write_lots(connection, 6, [NewLot(shelf, 1, charge_id, [digest(2)])])
    assert find(shelves, shelf, digest(1), digest(2)) == (1, {digest(2): 6})


def test_whoever_is_alone_remembers_at_once(shop, charge_id, shelf):
    shelves = Shelves(alone=True)
    with shop.database.write() as connection:
        for number in (1, 2, 3):
            found = shelves.find(connection, shelf, [digest(number - 1), digest(number)])
            assert found.last == number - 1
            assert set(found.bought_at) == {digest(number - 1)} - {digest(0)}
            write_lots(connection, 5, [NewLot(shelf, number, charge_id, [digest(number)])])


def test_a_lot_that_was_committed_need_not_be_read_again(store, find, shelf, charge_id):
    shelves = Shelves()
    find(shelves, shelf)
    for number in (1, 2):
        store(shelf, number, digest(number))
        shelves.learn([NewLot(shelf, number, charge_id, [digest(number)])])
    assert find(shelves, shelf, digest(1), digest(2)) == (2, {digest(1): 1, digest(2): 2})


def test_a_lot_behind_somebody_elses_is_learnt_with_it(store, find, shelf, charge_id):
    shelves = Shelves()
    find(shelves, shelf)
    store(shelf, 1, digest(1))
    store(shelf, 2, digest(2))
    shelves.learn([NewLot(shelf, 2, charge_id, [digest(2)])])
    assert find(shelves, shelf, digest(1), digest(2)) == (2, {digest(1): 1, digest(2): 2})


def test_a_lot_is_learnt_once(store, find, shelf, charge_id):
    shelves = Shelves()
    store(shelf, 1, digest(1))
    assert find(shelves, shelf, digest(1)) == (1, {digest(1): 1})
    shelves.learn([NewLot(shelf, 1, charge_id, [digest(1)])])
    store(shelf, 2, digest(1), at=7)
    shelves.learn([NewLot(shelf, 2, charge_id, [digest(1)])])
    assert find(shelves, shelf, digest(1)) == (2, {digest(1): 7})


def test_lots_that_could_not_be_learnt_are_read_again(shop, store, find, shelf):
    def spoil(digests):
        with shop.database.write() as connection:
            lot = update(purchase_lot).where(purchase_lot.c.number == 2)
            connection.execute(lot.values(digests=digests))

    shelves, many = Shelves(), RECENT_ITEMS + 1
    store(shelf, 1, *map(digest, range(many)))
    store(shelf, 2, digest(many))
    spoil(b"")
    with pytest.raises(ValueError, match="slice step"):
        find(shelves, shelf, digest(0), digest(many))
    spoil(digest(many))
    assert find(shelves, shelf, digest(0), digest(many)) == (2, {digest(0): 1, digest(many): 2})


def test_shelves_beyond_what_is_kept_are_read_again(store, find, shelf):
    shelves = Shelves(items_kept=10)
    for letter in "abc":
        store(shelf._replace(revision=letter), 1, *map(digest, range(8)))
    for _ in range(2):
        for letter in "abc":
            found = find(shelves, shelf._replace(revision=letter), digest(3), digest(9))
            assert found == (1, {digest(3): 1})


def test_a_lot_of_different_lengths_is_refused(shop, charge_id, shelf):
    with shop.database.write() as connection, pytest.raises(ValueError, match="one length"):
        write_lots(connection, 1, [NewLot(shelf, 1, charge_id, [b"a", b"bb"])])


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(st.sets(st.integers(0, 30), min_size=1, max_size=9), max_size=12), st.data())
def test_whatever_the_order_the_last_purchase_counts(shop, store, find, charge_id, lots, data):
    with shop.database.write() as connection:
        connection.exec_driver_sql("DELETE FROM purchase_lot")
        revision = f"{read_clock(connection)}"
    shelf = Shelf(shop.account.id, revision, "image")
    kept, expected = Shelves(), {}
    for number, items in enumerate(lots, start=1):
        store(shelf, number, *map(digest, sorted(items)))
        expected.update({digest(n): number for n in items})
        asked = {digest(n) for n in data.draw(st.sets(st.integers(0, 35)))}
        wanted = (number, {d: at for d, at in expected.items() if d in asked})
        assert find(kept, shelf, *asked) == find(Shelves(), shelf, *asked) == wanted
