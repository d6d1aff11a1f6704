"""Makes the hourly usage again from the charges, after somebody edited it by hand."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, Row, delete, select, text

from vendor_api.db.tables import usage_rollup
from vendor_api.db.upsert import insert

__all__ = ["Change", "Counts", "rebuild"]

_EXPECTED = text("""
SELECT s.account_id, s.hour, s.key_id, s.model, s.modality, SUM(s.items) AS items,
  SUM(s.items_free) AS items_free, SUM(s.items * COALESCE(p.unit_nanousd, 0)) AS cost_nanousd FROM (
  SELECT account_id, captured_at - captured_at % 3600000000 AS hour, key_id, model,
  'image' AS modality, images - images_free AS items, images_free AS items_free,
  image_price_id AS price_id FROM charge WHERE state = 'captured' AND images > 0
  UNION ALL SELECT account_id, captured_at - captured_at % 3600000000, key_id, model,
  'text', texts - texts_free, texts_free, text_price_id
  FROM charge WHERE state = 'captured' AND texts > 0
) s LEFT JOIN price_version p ON p.id = s.price_id
GROUP BY s.account_id, s.hour, s.key_id, s.model, s.modality
""")


@dataclass(frozen=True, slots=True)
class Counts:
    """One hour of one key, model and modality."""

    items: int = 0
    items_free: int = 0
    items_failed: int = 0
    cost_nanousd: int = 0


@dataclass(frozen=True, slots=True)
class Change:
    """An hour that the charges contradict."""

    account_id: str
    hour: int
    key_id: str
    model: str
    modality: str
    was: Counts
    becomes: Counts


def rebuild(connection: Connection, *, dry_run: bool) -> list[Change]:
    """Set every hour's paid items and cost to what the charges say; returns what was different.

    What no charge remembers is kept as it is: failed items, and repeats within a request among the
    free ones (raised to what the charges know at least). A dry run, best over a snapshot, changes
    nothing.
    """
    if not dry_run and connection.dialect.name == "postgresql":
        connection.exec_driver_sql("LOCK TABLE usage_rollup IN EXCLUSIVE MODE")
    changes = sorted(_compare(connection), key=_locate)
    if not dry_run:
        for change in changes:
            _store(connection, change)
    return changes


def _compare(connection: Connection) -> Iterator[Change]:
    stored = {_key(row): _counts(row) for row in connection.execute(select(usage_rollup))}
    expected = {_key(row): row for row in connection.execute(_EXPECTED)}
    for key in stored.keys() | expected.keys():
        was = stored.get(key, Counts())
        becomes = replace(was, items=0, cost_nanousd=0)
        if (row := expected.get(key)) is not None:
            becomes = Counts(
                int(row.items),
                max(was.items_free, int(row.items_free)),
                was.items_failed,
                int(row.cost_nanousd),
            )
        if becomes != was:
            yield Change(*key, was, becomes)


def _key(row: Row[Any]) -> tuple[str, int, str, str, str]:
    return row.account_id, row.hour, row.key_id, row.model, row.modality


def _counts(row: Row[Any]) -> Counts:
    return Counts(row.items, row.items_free, row.items_failed, row.cost_nanousd)


def _locate(change: Change) -> tuple[str | int, ...]:
    return change.account_id, change.hour, change.key_id, change.model, change.modality


def _store(connection: Connection, change: Change) -> None:
    key = dict(zip(usage_rollup.primary_key.columns.keys(), _locate(change), strict=True))
    if change.becomes == Counts():
        located = [usage_rollup.c[name] == part for name, part in key.items()]
        connection.execute(delete(usage_rollup).where(*located))
        return
    counts = {
        "items": change.becomes.items,
        "items_free": change.becomes.items_free,
        "items_failed": change.becomes.items_failed,
        "cost_nanousd": change.becomes.cost_nanousd,
    }
    statement = insert(connection, usage_rollup).values(**key, **counts)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=counts))
