"""Reads and writes what accounts have bought, thousands of rows to a statement.

Every line of every request of a group is a row here, so this is where a group's time goes: rows
pass to the driver as they are, in the order of their key, each page of the table touched once.
"""

from collections.abc import Collection, Iterator, Mapping
from itertools import groupby
from typing import Any, NamedTuple

from sqlalchemy import Connection, Row

from shared.wire import Modality

DIGESTS_AT_ONCE = 10_000
"""In one query; SQLite takes 32,766 parameters."""

__all__ = ["Item", "read_purchases", "write_purchases"]


class Item(NamedTuple):
    """What an account buys once."""

    account_id: str
    revision: str
    modality: Modality
    digest: bytes


_FIND_IN_SQLITE = (
    "SELECT digest, bought_at FROM purchase"
    " WHERE account_id = ? AND revision = ? AND modality = ? AND digest IN ({})"
)
# %b sends an array as it is: as text, every digest passes through a regular expression.
_FIND_IN_POSTGRESQL = (
    "SELECT digest, bought_at FROM purchase WHERE account_id = %(account_id)s"
    " AND revision = %(revision)s AND modality = %(modality)s AND digest = ANY(%(digests)b)"
)
_WRITE = (
    "INSERT INTO purchase (account_id, revision, modality, digest, charge_id, bought_at) {}"
    " ON CONFLICT (account_id, revision, modality, digest)"
    " DO UPDATE SET charge_id = excluded.charge_id, bought_at = excluded.bought_at"
)
_WRITE_TO_SQLITE = _WRITE.format("VALUES (?, ?, ?, ?, ?, ?)")
_WRITE_TO_POSTGRESQL = _WRITE.format(
    "SELECT %(account_id)s, %(revision)s, %(modality)s, digest, charge_id, %(bought_at)s::bigint"
    " FROM unnest(%(digests)b::bytea[], %(charge_ids)b::text[]) AS b(digest, charge_id)"
)


def read_purchases(connection: Connection, items: Collection[Item]) -> dict[Item, int]:
    """When each of the items was bought, microseconds; nothing for those that never were."""
    return {
        Item(account_id, revision, modality, bytes(row.digest)): row.bought_at
        for (account_id, revision, modality), digests in _slice(items)
        for row in _find(connection, account_id, revision, modality, digests)
    }


def write_purchases(connection: Connection, now: int, buyers: Mapping[Item, str]) -> None:
    """Item → the charge that pays for it, new or bought anew."""
    if connection.dialect.name == "sqlite":
        rows = [(*item, charge_id, now) for item, charge_id in sorted(buyers.items())]
        if rows:
            connection.exec_driver_sql(_WRITE_TO_SQLITE, rows)
        return
    for (account_id, revision, modality), digests in _slice(buyers):
        values = {
            "account_id": account_id,
            "revision": revision,
            "modality": modality,
            "bought_at": now,
            "digests": digests,
            "charge_ids": [buyers[Item(account_id, revision, modality, each)] for each in digests],
        }
        connection.exec_driver_sql(_WRITE_TO_POSTGRESQL, values)


def _slice(items: Collection[Item]) -> Iterator[tuple[tuple[str, str, Modality], list[bytes]]]:
    for key, group in groupby(sorted(items), lambda item: item[:3]):
        digests = [item.digest for item in group]
        for start in range(0, len(digests), DIGESTS_AT_ONCE):
            yield key, digests[start : start + DIGESTS_AT_ONCE]


def _find(
    connection: Connection, account_id: str, revision: str, modality: str, digests: list[bytes]
) -> Collection[Row[Any]]:
    if connection.dialect.name == "sqlite":
        query = _FIND_IN_SQLITE.format(", ".join("?" * len(digests)))
        parameters = (account_id, revision, modality, *digests)
        return connection.exec_driver_sql(query, parameters).all()
    values = {"account_id": account_id, "revision": revision, "modality": modality}
    wanted = {**values, "digests": digests}
    return connection.exec_driver_sql(_FIND_IN_POSTGRESQL, wanted).all()
