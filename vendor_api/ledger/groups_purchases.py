"""Reads and writes what accounts have bought, thousands of rows to a statement.

Every line of every request of a group is a row here, so this is where a group's time goes: rows
pass to the driver as they are, in the order of their key, each page of the table touched once.

Few buy what they have bought: clients keep it. So a group takes every item for a new one and
writes it where nothing may be yet; only when that fails does it look first and begin again.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import Connection

from shared.wire import Modality
from vendor_api.db.driver import fetch, run

DIGESTS_AT_ONCE = 10_000
"""In one query; SQLite takes 32,766 parameters."""
WARY_GROUPS = 64
"""So many groups look first after one that should have."""

__all__ = [
    "WARY_GROUPS",
    "BoughtBefore",
    "Rebuys",
    "Shelf",
    "read_purchases",
    "renew_purchases",
    "write_purchases",
]


class Shelf(NamedTuple):
    """Where an account's items of one revision and modality are, each bought once."""

    account_id: str
    revision: str
    modality: Modality


class BoughtBefore(Exception):
    """An item that was taken for a new one is none; the transaction must be taken back."""


@dataclass(slots=True)
class Rebuys:
    """Whether the next group should look what was bought before, judged by the last ones."""

    wary: int = 0

    def are_likely(self) -> bool:
        """Asked once for each group."""
        if self.wary:
            self.wary -= 1
            return True
        return False

    def note(self) -> None:
        """A group would have done better to look."""
        self.wary = WARY_GROUPS


_FIND_IN_SQLITE = (
    "SELECT digest, bought_at FROM purchase"
    " WHERE account_id = ? AND revision = ? AND modality = ? AND digest IN ({})"
)
# %b sends an array as it is: as text, every digest passes through a regular expression. One look
# into the index for each digest, whatever plan was kept from when the table was small.
_FIND_IN_POSTGRESQL = (
    "SELECT d.digest, p.bought_at FROM unnest(%(digests)b::bytea[]) d(digest),"
    " LATERAL (SELECT bought_at FROM purchase WHERE account_id = %(account_id)s"
    " AND revision = %(revision)s AND modality = %(modality)s AND digest = d.digest LIMIT 1) p"
)
_WRITE = "INSERT INTO purchase (account_id, revision, modality, digest, charge_id, bought_at) {}"
_WRITE_TO_SQLITE = _WRITE.format("VALUES (?, ?, ?, ?, ?, ?)")
_WRITE_TO_POSTGRESQL = _WRITE.format(
    "SELECT %(account_id)s, %(revision)s, %(modality)s, digest, charge_id, %(bought_at)s::bigint"
    " FROM unnest(%(digests)b::bytea[], %(charge_ids)b::text[]) AS b(digest, charge_id)"
)
_OR_NOT = " ON CONFLICT DO NOTHING"
_OR_RENEW = (
    " ON CONFLICT (account_id, revision, modality, digest)"
    " DO UPDATE SET charge_id = excluded.charge_id, bought_at = excluded.bought_at"
)


def read_purchases(
    connection: Connection, wanted: Mapping[Shelf, Collection[bytes]]
) -> dict[Shelf, dict[bytes, int]]:
    """When each of the items was bought, microseconds; nothing for those that never were."""
    found: dict[Shelf, dict[bytes, int]] = {}
    for shelf, digests in _slice(wanted):
        rows = _find(connection, shelf, digests)
        found.setdefault(shelf, {}).update({bytes(digest): bought_at for digest, bought_at in rows})
    return found


def write_purchases(
    connection: Connection, now: int, bought: Mapping[Shelf, Mapping[bytes, str]]
) -> None:
    """Digest → the charge that pays for it, on each shelf. Raises BoughtBefore."""
    if _write(connection, now, bought, _OR_NOT) != sum(map(len, bought.values())):
        raise BoughtBefore


def renew_purchases(
    connection: Connection, now: int, bought: Mapping[Shelf, Mapping[bytes, str]]
) -> None:
    """Like `write_purchases`, for items that are new or were bought too long ago."""
    _write(connection, now, bought, _OR_RENEW)


def _write(
    connection: Connection, now: int, bought: Mapping[Shelf, Mapping[bytes, str]], conflict: str
) -> int:
    if connection.dialect.name == "sqlite":
        rows = [
            (*shelf, digest, buyers[digest], now)
            for shelf, buyers in sorted(bought.items())
            for digest in sorted(buyers)
        ]
        return run(connection, _WRITE_TO_SQLITE + conflict, rows) if rows else 0
    written = 0
    for shelf, digests in _slice(bought):
        charge_ids = [bought[shelf][digest] for digest in digests]
        values = {"bought_at": now, "digests": digests, "charge_ids": charge_ids}
        values |= shelf._asdict()
        written += run(connection, _WRITE_TO_POSTGRESQL + conflict, [values])
    return written


def _slice(items: Mapping[Shelf, Collection[bytes]]) -> Iterator[tuple[Shelf, list[bytes]]]:
    for shelf in sorted(items):
        digests = sorted(items[shelf])
        for start in range(0, len(digests), DIGESTS_AT_ONCE):
            yield shelf, digests[start : start + DIGESTS_AT_ONCE]


def _find(connection: Connection, shelf: Shelf, digests: list[bytes]) -> Sequence[Sequence[Any]]:
    if connection.dialect.name == "sqlite":
        query = _FIND_IN_SQLITE.format(", ".join("?" * len(digests)))
        return fetch(connection, query, (*shelf, *digests))
    return fetch(connection, _FIND_IN_POSTGRESQL, {**shelf._asdict(), "digests": digests})
