"""Tables on disk are mappings, read in the order of their keys."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from client.acquire.batches import make_batches
from client.acquire.scratch import CHUNK, Scratch, ScratchError, Table

DIGESTS = st.binary(min_size=1, max_size=4)


@settings(deadline=None)
@given(rows=st.lists(st.tuples(DIGESTS, st.integers(0, 2**40)), max_size=40))
def test_a_table_is_the_dictionary_of_its_rows_in_order(rows: list[tuple[bytes, int]]) -> None:
    table = Scratch().sizes()
    table.add(rows)
    smallest: dict[bytes, int] = {}
    for key, value in rows:
        smallest[key] = min(value, smallest.get(key, value))
    assert list(table.items()) == sorted(smallest.items())
    assert list(table) == sorted(smallest)
    assert len(table) == len(smallest)
    assert {key: table[key] for key in table} == smallest
    assert table.find([*list(smallest)[::2], b"none at all"]) == dict(list(smallest.items())[::2])
    assert (b"none at all" in table, table.get(b"none at all")) == (False, None)
    assert isinstance(table, Mapping)


def test_rows_beyond_one_reading_come_in_order_too() -> None:
    table: Table[bytes, int] = Scratch().sizes()
    keys = [number.to_bytes(32, "big") for number in range(2 * CHUNK + 3)]
    table.add((key, 1) for key in reversed(keys))
    assert list(table) == keys


def test_requests_cut_from_a_table_are_those_cut_from_a_dictionary() -> None:
    sizes = {bytes([n, 255 - n]): 1 + n % 7 for n in range(200)}
    table = Scratch().sizes()
    table.add(reversed(sizes.items()))
    for most in (20, 10**9):
        expected = list(make_batches("image", sizes, max_bytes=most))
        assert list(make_batches("image", table, max_bytes=most)) == expected


def test_of_two_files_with_the_same_bytes_the_first_by_name_is_kept_in_any_order() -> None:
    for files in (("b", "a"), ("a", "b")):
        table = Scratch().paths()
        table.add((b"digest", Path(file)) for file in files)
        assert table[b"digest"] == Path("a")


def test_a_name_that_is_no_text_is_kept() -> None:
    table = Scratch().reasons()
    table.add([("caf\udce9.png", "its name is not UTF-8")])
    assert list(table) == ["caf\udce9.png"]


def test_a_full_disk_is_explained() -> None:
    scratch = Scratch()
    table = scratch.sizes()
    scratch.ask("PRAGMA max_page_count = 3")
    with pytest.raises(ScratchError, match="make room, or set TMPDIR"):
        table.add((number.to_bytes(32, "big"), number) for number in range(1000))
