"""What the latest days would have earned at other prices: exact, and nothing is changed."""

from collections.abc import Iterable, Mapping
from typing import Any

from sqlalchemy import Connection, Row, Select, func, select

from shared.wire import Modality
from vendor_api.dashboard.figures import Figures, Instant, Nanousd
from vendor_api.db.clock import DAY
from vendor_api.db.tables import account, usage_rollup

MAX_DAYS = 365

__all__ = ["MAX_DAYS", "Supposed", "SupposedRow", "suppose_prices"]


class SupposedRow(Figures):
    """One account's use of a model in one modality."""

    account_id: str
    account_name: str
    modality: Modality
    items: int
    """Charged ones; what was free stays free."""
    charged_nanousd: Nanousd
    """What they cost at the prices of their time."""
    supposed_nanousd: Nanousd
    """What they would have cost."""
    difference_nanousd: Nanousd


class Supposed(Figures):
    """A model's latest days at other prices."""

    model: str
    days: int
    since: Instant
    """The first instant of the first day, UTC; today is the last day."""
    units: dict[Modality, Nanousd]
    """Dollars an item; a modality that is absent keeps what it was charged."""
    rows: list[SupposedRow]
    items: int
    charged_nanousd: Nanousd
    supposed_nanousd: Nanousd
    difference_nanousd: Nanousd
    as_of: Instant


def suppose_prices(
    connection: Connection, now: int, model: str, units: Mapping[Modality, int], days: int
) -> Supposed:
    """The model's use of the last `days` days of UTC, today included, at those prices an item."""
    since = now - now % DAY - (days - 1) * DAY
    rows = [_suppose(row, units) for row in _read(connection, model, since)]
    rows.sort(key=lambda row: (-abs(row.difference_nanousd), row.account_id, row.modality))
    charged = sum(row.charged_nanousd for row in rows)
    supposed = sum(row.supposed_nanousd for row in rows)
    return Supposed(
        model=model,
        days=days,
        since=since,
        units=dict(units),
        rows=rows,
        items=sum(row.items for row in rows),
        charged_nanousd=charged,
        supposed_nanousd=supposed,
        difference_nanousd=supposed - charged,
        as_of=now,
    )


def _read(connection: Connection, model: str, since: int) -> Iterable[Row[Any]]:
    used = (
        select(
            usage_rollup.c.account_id,
            usage_rollup.c.modality,
            func.sum(usage_rollup.c["items"]).label("charged_items"),
            func.sum(usage_rollup.c.cost_nanousd).label("charged"),
        )
        .where(usage_rollup.c.model == model, usage_rollup.c.hour >= since)
        .group_by(usage_rollup.c.account_id, usage_rollup.c.modality)
        .subquery()
    )
    query: Select[Any] = select(used, account.c.name)
    query = query.join(account, account.c.id == used.c.account_id)
    return connection.execute(query).all()


def _suppose(row: Row[Any], units: Mapping[Modality, int]) -> SupposedRow:
    # Python's integers: items × price may be more than a database's column holds.
    items, charged = int(row.charged_items), int(row.charged)
    unit = units.get(row.modality)
    supposed = charged if unit is None else items * unit
    return SupposedRow(
        account_id=row.account_id,
        account_name=row.name,
        modality=row.modality,
        items=items,
        charged_nanousd=charged,
        supposed_nanousd=supposed,
        difference_nanousd=supposed - charged,
    )
