"""Reads and writes what accounts have bought: one row for all that a charge paid for of a modality.

A row for each item would fall on a page of its own, wherever its digest belongs, and cost more than
everything else that a charge writes. Lots go where the last one went, 32 bytes an item; where in
them an item is, `shelves` knows.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from functools import cache
from typing import NamedTuple

from sqlalchemy import Connection

from shared.wire import Modality
from vendor_api.db.driver import fetch, run

LOTS_AT_ONCE = 2000
"""In one query of a shelf that is read from its beginning."""

__all__ = ["Lot", "NewLot", "Shelf", "read_behind", "read_lots", "split", "write_lots"]


class Shelf(NamedTuple):
    """Where an account's items of one revision and modality are."""

    account_id: str
    revision: str
    modality: Modality


class Lot(NamedTuple):
    """Items that one charge paid for, as they are stored."""

    number: int
    """Of its shelf, counted from 1 under the lock of the account's balance."""
    bought_at: int
    items: int
    digests: bytes
    """One behind the other, all of one length."""


class NewLot(NamedTuple):
    """Items that a charge pays for."""

    shelf: Shelf
    number: int
    charge_id: str
    digests: Collection[bytes]
    """At least one."""


# Both engines are led into the key, whatever plan was kept from when the table was small.
_ON_SHELF = "FROM purchase_lot l WHERE l.account_id = {0} AND l.revision = {0} AND l.modality = {0}"
_COLUMNS = "l.number, l.bought_at, l.items, l.digests"
_BEHIND = f"SELECT {_COLUMNS} {_ON_SHELF} AND l.number > {{0}} ORDER BY l.number LIMIT {{0}}"
_WANTED = f"SELECT {_COLUMNS} {_ON_SHELF} AND l.number {{1}}"
_WRITE = (
    "INSERT INTO purchase_lot"
    " (account_id, revision, modality, number, charge_id, bought_at, items, digests)"
    " VALUES ({0}, {0}, {0}, {0}, {0}, {0}, {0}, {0})"
)
_SQLITE = ("?", "IN (SELECT w.value FROM json_each(?) w)")
_POSTGRESQL = ("%b", "= ANY(%b::bigint[])")


def read_behind(connection: Connection, shelf: Shelf, number: int) -> Iterator[Sequence[Lot]]:
    """The shelf's lots with higher numbers, in their order, so many at once; nothing: none at all."""
    while True:
        found = fetch(connection, _spell(connection, _BEHIND), (*shelf, number, LOTS_AT_ONCE))
        if found:
            yield [_make(row) for row in found]
            number = found[-1][0]
        if len(found) < LOTS_AT_ONCE:
            return


def read_lots(connection: Connection, shelf: Shelf, numbers: Collection[int]) -> list[Lot]:
    """The shelf's lots of these numbers, as far as there are any."""
    if not numbers:
        return []
    wanted = sorted(numbers)
    given = json.dumps(wanted) if connection.dialect.name == "sqlite" else wanted
    return [_make(row) for row in fetch(connection, _spell(connection, _WANTED), (*shelf, given))]


def write_lots(connection: Connection, now: int, lots: Collection[NewLot]) -> None:
    """Remember who paid for what. Raises ValueError for a lot with digests of different lengths."""
    rows = [
        (*lot.shelf, lot.number, lot.charge_id, now, len(lot.digests), _join(lot.digests))
        for lot in lots
    ]
    if rows:
        run(connection, _spell(connection, _WRITE), rows)


def split(digests: bytes, items: int) -> list[bytes]:
    """A lot's digests, one by one."""
    width = len(digests) // items
    return [digests[start : start + width] for start in range(0, len(digests), width)]


def _join(digests: Collection[bytes]) -> bytes:
    lengths = set(map(len, digests))
    if len(lengths) != 1 or 0 in lengths:
        raise ValueError("the digests of a lot are all of one length")
    return b"".join(digests)


def _make(row: Sequence[object]) -> Lot:
    number, bought_at, items, digests = row
    return Lot(number, bought_at, items, bytes(digests))  # type: ignore[arg-type, call-overload]


def _spell(connection: Connection, statement: str) -> str:
    return _format(statement, connection.dialect.name)


@cache
def _format(statement: str, dialect: str) -> str:
    return statement.format(*(_SQLITE if dialect == "sqlite" else _POSTGRESQL))
