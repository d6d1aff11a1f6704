"""What an account may read about itself: its charges and its use."""

from typing import Any

from sqlalchemy import Connection, Row, select

from shared.money import format_usd
from shared.wire import ChargeDocument, ChargeList, UsageDocument, UsageRow
from vendor_api.db import format_instant
from vendor_api.db.clock import HOUR
from vendor_api.db.tables import charge, usage_rollup

__all__ = ["list_charges", "list_usage"]


def list_charges(
    connection: Connection,
    account_id: str,
    *,
    idempotency_key: str | None,
    limit: int,
    after: str | None,
) -> ChargeList:
    """The account's charges, oldest first, from behind the charge `after`."""
    query = select(charge).where(charge.c.account_id == account_id)
    if idempotency_key is not None:
        query = query.where(charge.c.idempotency_key == idempotency_key)
    if after is not None:
        query = query.where(charge.c.id > after)
    rows = connection.execute(query.order_by(charge.c.id).limit(limit + 1)).all()
    return ChargeList(data=[_charge(row) for row in rows[:limit]], has_more=len(rows) > limit)


def list_usage(
    connection: Connection, now: int, account_id: str, since: int, until: int
) -> UsageDocument:
    """The account's hours from the one that `since` lies in up to `until`, with their totals."""
    rows = connection.execute(
        select(usage_rollup)
        .where(usage_rollup.c.account_id == account_id)
        .where(usage_rollup.c.hour >= since - since % HOUR, usage_rollup.c.hour < until)
        .order_by(*usage_rollup.primary_key.columns)
    ).all()
    return UsageDocument(
        data=[_usage(row) for row in rows],
        total_items=sum(row.items for row in rows),
        total_cost_usd=format_usd(sum(row.cost_nanousd for row in rows)),
        as_of=format_instant(now),
    )


def _charge(row: Row[Any]) -> ChargeDocument:
    return ChargeDocument(
        id=row.id,
        state=row.state,
        idempotency_key=row.idempotency_key,
        request_id=row.request_id,
        model=row.model,
        revision=row.revision,
        images=row.images,
        texts=row.texts,
        reserved_usd=format_usd(row.reserved_nanousd),
        cost_usd=format_usd(row.cost_nanousd),
        created_at=format_instant(row.created_at),
        captured_at=None if row.captured_at is None else format_instant(row.captured_at),
    )


def _usage(row: Row[Any]) -> UsageRow:
    return UsageRow(
        hour=format_instant(row.hour),
        key_id=row.key_id,
        model=row.model,
        modality=row.modality,
        items=row.items,
        items_free=row.items_free,
        items_failed=row.items_failed,
        cost_usd=format_usd(row.cost_nanousd),
    )
