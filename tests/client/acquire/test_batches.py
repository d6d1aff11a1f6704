"""Which items travel together, and under which key."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from client.acquire.batches import MAX_BYTES, derive_key, make_batches, wire_size

contents = st.dictionaries(st.binary(min_size=32, max_size=32), st.integers(1, 1000), max_size=200)


@given(contents, st.randoms())
def test_the_order_of_finding_files_changes_nothing(sizes: dict[bytes, int], random) -> None:
    shuffled = list(sizes.items())
    random.shuffle(shuffled)
    assert list(make_batches("image", sizes)) == list(make_batches("image", dict(shuffled)))


@given(contents, st.integers(1000, 5000))
def test_each_item_travels_once_within_the_limits(sizes: dict[bytes, int], limit: int) -> None:
    batches = list(make_batches("image", sizes, max_bytes=limit))
    assert [digest for batch in batches for digest in batch] == sorted(sizes)
    for batch in batches:
        assert 0 < len(batch) <= 64
        assert sum(sizes[digest] for digest in batch) <= limit


def test_a_batch_of_large_images_ends_at_16_megabytes() -> None:
    sizes = {bytes([n]) * 32: MAX_BYTES // 2 for n in range(3)}
    assert [len(batch) for batch in make_batches("image", sizes)] == [2, 1]


def test_256_texts_travel_together() -> None:
    sizes = {n.to_bytes(32, "big"): 10 for n in range(257)}
    assert [len(batch) for batch in make_batches("text", sizes)] == [256, 1]


def test_every_part_of_a_request_is_in_its_key() -> None:
    base: dict[str, Any] = {
        "run": "r",
        "model": "m@1",
        "modality": "image",
        "digests": [b"a", b"b"],
        "attempt": 0,
    }
    changes: list[dict[str, Any]] = [
        {"run": "s"},
        {"model": "m@2"},
        {"modality": "text"},
        {"digests": [b"b", b"a"]},
        {"attempt": 1},
        # Lengths are part of the key: one field's end is not another's beginning.
        {"run": "rm", "model": "@1"},
    ]
    keys = {derive_key(**(base | change)) for change in [{}, *changes]}
    assert len(keys) == len(changes) + 1
    assert derive_key(**base) == derive_key(**base)
    assert all(len(key) < 255 and key.isascii() for key in keys)


def test_wire_size_is_that_of_base64() -> None:
    assert [wire_size(n) for n in (0, 1, 2, 3, 4)] == [0, 4, 4, 4, 8]
