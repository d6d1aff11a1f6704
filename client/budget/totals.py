"""What the journal adds up to."""

from sqlalchemy import Connection, Select, case, func, select

from client.budget.entries import Total
from client.cache.tables import journal, journal_item

__all__ = ["sum_totals"]


def sum_totals(connection: Connection, **given: str | None) -> list[Total]:
    """Items and money by purpose and modality of the batches with these column values."""
    failed = func.sum(case((journal_item.c.error_code.is_not(None), 1), else_=0))
    # One row a batch first: joined to its items, its cost would be added once for each.
    items = (
        select(
            journal_item.c.journal_id,
            func.count().label("asked"),
            failed.label("failed"),
        )
        .group_by(journal_item.c.journal_id)
        .subquery()
    )
    query = (
        select(
            journal.c.purpose,
            journal.c.modality,
            func.count().label("requests"),
            func.sum(items.c.asked - items.c.failed).label("delivered"),
            func.sum(items.c.failed).label("failed"),
            func.sum(journal.c.cost_nanousd).label("cost"),
        )
        .join(items, items.c.journal_id == journal.c.id)
        .where(journal.c.cost_nanousd.is_not(None))
        .group_by(journal.c.purpose, journal.c.modality)
        .order_by(journal.c.purpose, journal.c.modality)
    )
    rows = connection.execute(_narrow(query, given))
    return [
        Total(
            row.purpose,
            row.modality,
            row.requests,
            int(row.delivered),
            int(row.failed),
            int(row.cost),
        )
        for row in rows
    ]


def _narrow(
    query: Select[tuple[object, ...]], given: dict[str, str | None]
) -> Select[tuple[object, ...]]:
    for name, value in given.items():
        if value is not None:
            query = query.where(journal.c[name] == value)
    return query
