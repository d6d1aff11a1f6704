"""Finds what an account has bought: in memory where an item may be, in the database whether it is.

For each item of a shelf the first eight bytes of its digest and the number of its lot are kept, and
a Bloom filter of the former: some 19 bytes an item. That is learnt from lots that are committed, read
once when a process first needs the shelf (a million items in a fifth of a second) and then as they
come, whoever wrote them: a shelf is asked under the lock of its account's balance, which every
capture takes. So nothing that was bought is ever missed, and what looks bought is looked up.
"""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from vendor_api.ledger.bloom import BloomFilter, Keys
from vendor_api.ledger.lots import Lot, NewLot, Shelf, read_behind, read_lots, split

RECENT_ITEMS = 2048
"""Found by their whole digest, before they are sorted in with the others."""
ITEMS_KEPT = 16_000_000
"""Of all shelves together, some 300 MB; the shelves that were not asked for longest go first."""
SHELVES_KEPT = 1024
LOOKS_BETWEEN = 256
"""So many questions pass before it is counted again how much is kept."""

__all__ = ["ITEMS_KEPT", "RECENT_ITEMS", "Found", "Shelves"]


class Found(NamedTuple):
    """What is known of a shelf."""

    last: int
    """The highest number of a lot; 0: there is none."""
    bought_at: dict[bytes, int]
    """When each of the asked items was bought last, microseconds; nothing for those that never were."""


class _Run(NamedTuple):
    """Items in the order of their keys, and the lot of each."""

    keys: Keys
    lots: NDArray[np.int64]


@dataclass(slots=True)
class _Index:
    """Where the items of one shelf may be: runs of shrinking length, and the recent ones.

    A lot is known only when all of it is held, so that one whose learning failed (memory may run out)
    is read again.
    """

    lock: Lock = field(default_factory=Lock)
    known: int = 0
    """The highest number of a lot that was learnt."""
    items: int = 0
    runs: list[_Run] = field(default_factory=list)
    filter: BloomFilter = field(default_factory=partial(BloomFilter, 0))
    """Of the keys in the runs: what is asked for was hardly ever bought before."""
    recent: dict[bytes, int] = field(default_factory=dict)
    """The last lot of each."""

    def learn(self, lots: Sequence[Lot]) -> None:
        """Lots that follow each other; what was learnt before is passed over."""
        with self.lock:
            new = [lot for lot in lots if lot.number > self.known]
            if not new:
                return
            items = sum(lot.items for lot in new)
            if items > RECENT_ITEMS:
                self._sort_in(*_list_items(new))
            else:
                for lot in new:
                    self._remember(split(lot.digests, lot.items), lot.number)
            self.known = new[-1].number
            self.items += items

    def learn_next(self, lot: NewLot) -> None:
        """A lot that was just committed, if it follows what is known; else `learn` will meet it."""
        with self.lock:
            if lot.number == self.known + 1:
                self._remember(lot.digests, lot.number)
                self.known = lot.number
                self.items += len(lot.digests)

    def guess(self, digests: Collection[bytes]) -> set[int]:
        """Lots that may hold one of the items: the last one of each item that is there, and others."""
        with self.lock:
            numbers = {self.recent[digest] for digest in self.recent.keys() & digests}
            if self.runs and digests:
                keys = self.filter.sift(_make_keys(digests))
                if len(keys):
                    keys = np.sort(keys)  # so that they are found in one sweep
                    numbers.update(*(_search(run, keys) for run in self.runs))
            return numbers

    def _remember(self, digests: Iterable[bytes], number: int) -> None:
        self.recent.update(dict.fromkeys(digests, number))
        if len(self.recent) > RECENT_ITEMS:
            numbers = np.fromiter(self.recent.values(), np.int64, len(self.recent))
            self._sort_in(_make_keys(self.recent), numbers)
            self.recent = {}

    def _sort_in(self, keys: Keys, lots: NDArray[np.int64]) -> None:
        self._filter_in(keys)
        runs, run = self.runs[:], _sort(keys, lots)
        while runs and len(runs[-1].keys) <= 2 * len(run.keys):
            old = runs.pop()
            run = _sort(np.concatenate([old.keys, run.keys]), np.concatenate([old.lots, run.lots]))
        self.runs = [*runs, run]

    def _filter_in(self, keys: Keys) -> None:
        """Note keys that are new; in a filter twice as large when it is full."""
        bloom, kept = self.filter, sum(len(run.keys) for run in self.runs) + len(keys)
        if kept > bloom.capacity:
            bloom = BloomFilter(kept)
            for run in self.runs:
                bloom.add(run.keys)
        bloom.add(keys)
        self.filter = bloom


class Shelves:
    """What a process knows of the shelves of a database. Safe to use from several threads."""

    def __init__(self, *, items_kept: int = ITEMS_KEPT, alone: bool = False) -> None:
        """alone: nobody else writes, and a transaction that fails ends everything: what it has
        written is remembered before it is committed.
        """
        self._alone = alone
        self._items_kept = items_kept
        self._lock = Lock()
        self._asked = 0
        self._indexes: OrderedDict[Shelf, _Index] = OrderedDict()

    def find(
        self,
        connection: Connection,
        shelf: Shelf,
        digests: Collection[bytes],
        *,
        committed: bool = False,
    ) -> Found:
        """What the shelf holds of the items, as the connection's transaction sees it.

        `committed` says that the transaction has itself written no lot so far: then what it sees
        is remembered for the next time.
        """
        index, asked = self._get(shelf), set(digests)
        last, seen = index.known, list[Lot]()
        for lots in read_behind(connection, shelf, last):
            last = lots[-1].number
            if committed or self._alone:
                index.learn(lots)
            else:
                seen += lots
        seen += read_lots(connection, shelf, index.guess(asked))
        bought_at: dict[bytes, int] = {}
        for lot in sorted(seen):
            here = asked.intersection(split(lot.digests, lot.items))
            bought_at.update(dict.fromkeys(here, lot.bought_at))
        return Found(last, bought_at)

    def learn(self, lots: Iterable[NewLot]) -> None:
        """Lots that were just committed, in the order of their numbers: they need not be read again."""
        for lot in lots:
            with self._lock:
                index = self._indexes.get(lot.shelf)
            if index is not None:
                index.learn_next(lot)

    def _get(self, shelf: Shelf) -> _Index:
        with self._lock:
            index = self._indexes.setdefault(shelf, _Index())
            self._indexes.move_to_end(shelf)
            self._asked += 1
            if not index.items or self._asked % LOOKS_BETWEEN == 0:
                self._make_room()
            return index

    def _make_room(self) -> None:
        kept = sum(each.items for each in self._indexes.values())
        while len(self._indexes) > 1 and (
            kept > self._items_kept or len(self._indexes) > SHELVES_KEPT
        ):
            kept -= self._indexes.popitem(last=False)[1].items


def _list_items(lots: Sequence[Lot]) -> tuple[Keys, NDArray[np.int64]]:
    keys = [_slice_keys(lot) for lot in lots]
    numbers = np.array([lot.number for lot in lots], np.int64)
    return np.concatenate(keys), np.repeat(numbers, [lot.items for lot in lots])


def _slice_keys(lot: Lot) -> Keys:
    width = len(lot.digests) // lot.items
    if width % 8:
        return _make_keys(split(lot.digests, lot.items))
    return np.frombuffer(lot.digests, np.uint64)[:: width // 8]


def _make_keys(digests: Collection[bytes]) -> Keys:
    widths = set(map(len, digests))
    if len(widths) == 1 and (width := widths.pop()) and width % 8 == 0:
        return np.frombuffer(b"".join(digests), np.uint64)[:: width // 8]
    return np.frombuffer(b"".join([digest[:8].ljust(8, b"\0") for digest in digests]), np.uint64)


def _sort(keys: Keys, lots: NDArray[np.int64]) -> _Run:
    order = np.argsort(keys, kind="stable")  # merges what is sorted in parts
    return _Run(keys[order], lots[order])


def _search(run: _Run, keys: Keys) -> list[int]:
    first = np.searchsorted(run.keys, keys)
    near = run.keys[np.minimum(first, len(run.keys) - 1)] == keys
    if not near.any():
        return []
    past = np.searchsorted(run.keys, keys[near], "right")
    found: list[int] = []
    for start, end in zip(first[near].tolist(), past.tolist(), strict=True):
        found += run.lots[start:end].tolist()
    return found
