"""A request's rows in the journal, written and read inside the caller's transaction."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from client.budget.entries import Batch, Entry, ItemOutcome
from client.budget.holds import Sum
from client.cache.statements import Statement, given
from client.cache.store import FILE_VIEW
from client.cache.tables import journal, journal_item, journal_view

__all__ = ["count_delivered", "find_row", "read_row", "sum_paid", "write_failures", "write_row"]

_PLANNED = (
    "state",
    "form",
    "max_cost_nanousd",
    "held_nanousd",
    "held_items",
    "planned_ns",
    "sent_ns",
    "closed_ns",
    "problem",
)
_ASKED = ("run", "idempotency_key", "model_id", "revision", "modality", "purpose")
_FIND = Statement(select(journal).where(journal.c.idempotency_key == given("key")))
_ADD = Statement(
    insert(journal)
    .values({name: given(name) for name in (*_PLANNED, *_ASKED)})
    .returning(journal.c.id)
)
_ADD_ITEM = Statement(
    insert(journal_item)
    .values({name: given(name) for name in ("journal_id", "position", "digest")})
    .inline()
)
_COUNT = Statement(
    select(func.count())
    .select_from(journal_item)
    .where(journal_item.c.journal_id == given("number"), journal_item.c.error_code.is_(None))
)


def find_row(connection: Connection, key: str) -> Row[Any] | None:
    """The request under a key, or None."""
    return _FIND.fetch_one(connection, key=key)


def sum_paid(row: Row[Any] | None) -> Sum:
    """What the request has been settled to before."""
    return Sum() if row is None else Sum(row.cost_nanousd or 0, row.spent_items or 0)


def write_failures(connection: Connection, number: int, failures: Sequence[ItemOutcome]) -> None:
    """Note why items have no vector."""
    for failure in failures:
        connection.execute(
            update(journal_item)
            .where(journal_item.c.journal_id == number, journal_item.c.digest == failure.digest)
            .values(error_code=failure.code, error_message=failure.message)
        )


def count_delivered(connection: Connection, number: int) -> int:
    """Items that got a vector."""
    return int(_COUNT.fetch(connection, number=number)[0][0])


def write_row(
    connection: Connection, batch: Batch, held: Sum, old: Row[Any] | None, now: int
) -> None:
    """Write a request down, or open an old one again."""
    fresh: dict[str, Any] = {
        "state": "planned",
        # What was paid for stays known by the form in which it was: that one is free again.
        "form": batch.form if old is None or old.cost_nanousd is None else old.form,
        "max_cost_nanousd": batch.max_cost_nanousd,
        "held_nanousd": held.nanousd,
        "held_items": held.items,
        "planned_ns": now,
        "sent_ns": None,
        "closed_ns": None,
        "problem": None,
    }
    if old is not None:
        connection.execute(update(journal).where(journal.c.id == old.id).values(fresh))
        connection.execute(delete(journal_item).where(journal_item.c.journal_id == old.id))
        number = old.id
    else:
        asked = {name: getattr(batch, name) for name in _ASKED}
        number = _ADD.fetch(connection, **fresh, **asked)[0].id
        if batch.view != FILE_VIEW:
            connection.execute(insert(journal_view).values(journal_id=number, view=batch.view))
    _ADD_ITEM.run_many(
        connection,
        (
            {"journal_id": number, "position": position, "digest": digest}
            for position, digest in enumerate(batch.digests)
        ),
    )


def read_row(connection: Connection, row: Row[Any]) -> Entry:
    """The request as plain values."""
    digests = connection.execute(
        select(journal_item.c.digest)
        .where(journal_item.c.journal_id == row.id)
        .order_by(journal_item.c.position)
    ).scalars()
    view = connection.execute(
        select(journal_view.c.view).where(journal_view.c.journal_id == row.id)
    ).scalar()
    batch = Batch(
        run=row.run,
        idempotency_key=row.idempotency_key,
        model_id=row.model_id,
        revision=row.revision,
        modality=row.modality,
        purpose=row.purpose,
        digests=tuple(digests),
        max_cost_nanousd=row.max_cost_nanousd,
        view=view or FILE_VIEW,
        form=row.form or "json",
    )
    return Entry(batch, row.state, row.cost_nanousd)
