"""Which requests of the journal brought a vector, when, and what it cost: SQL said once.

A request brought what it asked for and was not refused, once it was settled; a request without a
view asked about files.
"""

from typing import Any

from sqlalchemy import ColumnElement, Select, and_, func, select

from client.cache.store import FILE_VIEW
from client.cache.tables import embedding, journal, journal_item, journal_view

asked_view = func.coalesce(journal_view.c.view, FILE_VIEW)
"""The view that a request asked about, where `journal_view` is joined from outside."""

__all__ = ["asked_view", "brought", "highest_price", "join_requests", "stored_at"]


def join_requests(query: Select[Any]) -> Select[Any]:
    """The query over items of requests, with the requests and their views."""
    return (
        query.select_from(journal_item)
        .join(journal, journal.c.id == journal_item.c.journal_id)
        .outerjoin(journal_view, journal_view.c.journal_id == journal.c.id)
    )


def brought() -> ColumnElement[bool]:
    """Whether a request's item is the vector of an `embedding` row."""
    return and_(
        journal_item.c.digest == embedding.c.digest,
        journal_item.c.error_code.is_(None),
        journal.c.revision == embedding.c.revision,
        journal.c.modality == embedding.c.modality,
        embedding.c.view == asked_view,
        journal.c.cost_nanousd.is_not(None),
    )


def stored_at() -> ColumnElement[Any]:
    """When a vector came, by the journal for one of before that was kept; empty when unknown."""
    settled = join_requests(select(func.max(journal.c.closed_ns))).where(brought())
    return func.coalesce(embedding.c.stored_ns, settled.correlate(embedding).scalar_subquery())


def highest_price() -> ColumnElement[Any]:
    """The most that any request for a vector could have cost; empty when the journal knows none.

    A vector that was free because it had been paid for before has a price all the same.
    """
    prices = join_requests(select(func.max(journal.c.max_cost_nanousd))).where(brought())
    return prices.correlate(embedding).scalar_subquery()
