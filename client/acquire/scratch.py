"""Tables on disk for one command: what is too much for memory and of no use afterwards."""

import os
import sqlite3
import threading
from collections.abc import Callable, ItemsView, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from client.errors import ClientError

CHUNK = 500
"""Rows in memory at a time."""
CACHE_KIB = 4096
"""Of all tables together; what is beyond it lies in a file."""

K = TypeVar("K")
V = TypeVar("V")

__all__ = ["Scratch", "ScratchError", "Table", "find_rows"]


class ScratchError(ClientError):
    """The folder of temporary files has no room, or cannot be written to."""


@dataclass(frozen=True, slots=True)
class _Codec(Generic[V]):
    """How a value is written down and read back."""

    write: Callable[[V], Any]
    read: Callable[[Any], V]


DIGEST: _Codec[bytes] = _Codec(bytes, bytes)
NUMBER: _Codec[int] = _Codec(int, int)
# As bytes: a file's name need not be text.
TEXT: _Codec[str] = _Codec(os.fsencode, os.fsdecode)
PATH: _Codec[Path] = _Codec(os.fsencode, lambda value: Path(os.fsdecode(value)))


class Scratch:
    """A database of its own, in a file without a name: it ends with the process, however that ends.

    Safe to use from several threads.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._tables = 0
        # SQLite makes an empty name a temporary file that no other program can open.
        self._connection = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{CACHE_KIB}"):
            self._connection.execute(f"PRAGMA {setting}")

    def paths(self) -> "Table[bytes, Path]":
        """An empty table of digest → file."""
        return Table(self, DIGEST, PATH)

    def sizes(self) -> "Table[bytes, int]":
        """An empty table of digest → bytes."""
        return Table(self, DIGEST, NUMBER)

    def reasons(self) -> "Table[str, str]":
        """An empty table of path → text."""
        return Table(self, TEXT, TEXT)

    def close(self) -> None:
        """Give the space back; the tables can be read no more."""
        with self._lock:
            self._connection.close()

    def make_table(self) -> str:
        """The name of a new table with columns `key` and `value`."""
        with self._lock:
            self._tables += 1
            name = f"t{self._tables}"
        self.ask(f"CREATE TABLE {name} (key BLOB PRIMARY KEY, value) WITHOUT ROWID")
        return name

    def ask(self, statement: str, *values: Any) -> list[tuple[Any, ...]]:
        """The rows that a statement answers. Raises ScratchError."""
        with self._lock, _translated():
            return self._connection.execute(statement, values).fetchall()

    def write(self, statement: str, rows: Iterable[tuple[Any, Any]]) -> None:
        """Run a statement on each row. Raises ScratchError."""
        with self._lock, _translated():
            self._connection.execute("BEGIN")
            self._connection.executemany(statement, rows)
            self._connection.execute("COMMIT")


class Table(Mapping[K, V]):
    """A mapping that is iterated in the order of its keys' bytes and held on disk."""

    def __init__(self, scratch: Scratch, key: _Codec[K], value: _Codec[V]) -> None:
        self._scratch, self._key, self._value = scratch, key, value
        self._name = scratch.make_table()
        self._count: int | None = 0

    def add(self, rows: Iterable[tuple[K, V]]) -> None:
        """Take rows in. Of two values of a key the smaller stays, in whatever order they come."""
        self._count = None
        rows = iter(rows)
        while part := list(islice(rows, CHUNK)):
            self._scratch.write(
                f"INSERT INTO {self._name} VALUES (?, ?) ON CONFLICT (key) "  # noqa: S608 (own name)
                "DO UPDATE SET value = min(value, excluded.value)",
                [(self._key.write(key), self._value.write(value)) for key, value in part],
            )

    def __getitem__(self, key: K) -> V:
        query = f"SELECT value FROM {self._name} WHERE key = ?"  # noqa: S608
        for (value,) in self._scratch.ask(query, self._key.write(key)):
            return self._value.read(value)
        raise KeyError(key)

    def find(self, keys: Sequence[K]) -> dict[K, V]:
        """The rows that have these keys, of which there are a few hundred at most."""
        marks = ", ".join("?" * len(keys))
        query = f"SELECT key, value FROM {self._name} WHERE key IN ({marks})"  # noqa: S608
        rows = self._scratch.ask(query, *map(self._key.write, keys))
        return {self._key.read(key): self._value.read(value) for key, value in rows}

    def __len__(self) -> int:
        if self._count is None:
            query = f"SELECT count(*) FROM {self._name}"  # noqa: S608
            self._count = int(self._scratch.ask(query)[0][0])
        return self._count

    def __iter__(self) -> Iterator[K]:
        return (key for key, _ in self.items())

    def items(self) -> ItemsView[K, V]:
        """(key, value) of each row, a few hundred read at a time."""
        return _Rows(self)

    def read_rows(self) -> Iterator[tuple[K, V]]:
        """`items`, as the iterator that it is."""
        query = f"SELECT key, value FROM {self._name} WHERE key > ? ORDER BY key LIMIT {CHUNK}"  # noqa: S608
        last: Any = b""
        while rows := self._scratch.ask(query, last):
            for key, value in rows:
                yield self._key.read(key), self._value.read(value)
            last = rows[-1][0]


def find_rows(table: Mapping[K, V], keys: Sequence[K]) -> dict[K, V]:
    """The rows of a mapping that have these keys: from a table on disk, in one go."""
    if isinstance(table, Table):
        return table.find(keys)
    return {key: table[key] for key in keys if key in table}


class _Rows(ItemsView[K, V]):
    """The rows of a table, without asking for each by its key."""

    def __init__(self, table: Table[K, V]) -> None:
        super().__init__(table)
        self._table = table

    def __iter__(self) -> Iterator[tuple[K, V]]:
        return self._table.read_rows()


@contextmanager
def _translated() -> Iterator[None]:
    """Turn the driver's failures into ScratchError with what to do next."""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise ScratchError(
            f"temporary tables cannot be written ({error}): make room, or set TMPDIR to a folder "
            "with some"
        ) from error
