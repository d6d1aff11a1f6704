"""The price book: immutable versions, the latest of which that has begun is current."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection, Row, insert, select

from shared.money import MAX_NANOUSD
from shared.wire import Modality
from vendor_api.db import format_instant
from vendor_api.db.tables import price_version as price
from vendor_api.ledger.commands import Price
from vendor_api.ledger.ids import new_id

__all__ = ["current_prices", "list_prices", "set_prices"]


def set_prices(
    connection: Connection,
    now: int,
    model: str,
    units: Mapping[Modality, int],
    *,
    valid_from: int | None = None,
) -> dict[Modality, Price]:
    """Sell `model` at these prices from `valid_from` (None: now) on; returns what it costs then.

    An unchanged price stays as it is, and so does the price of what is held. Raises ValueError for
    a negative price and for an instant that has passed.
    """
    begin = now if valid_from is None else valid_from
    if begin < now:
        raise ValueError(f"{format_instant(begin)} has passed: a price can only change from now on")
    then = current_prices(connection, begin, model)
    for modality, unit in units.items():
        if not 0 <= unit <= MAX_NANOUSD:
            raise ValueError("a price is not negative and fits into 63 bits")
        if modality in then and then[modality].unit_nanousd == unit:
            continue
        then[modality] = _insert(connection, Price(new_id("prc"), model, modality, unit, begin))
    return then


def current_prices(connection: Connection, now: int, model: str) -> dict[Modality, Price]:
    """The model's current price of each modality; empty when it is not for sale."""
    return {each.modality: each for each in list_prices(connection, now) if each.model == model}


def list_prices(connection: Connection, now: int, *, upcoming: bool = False) -> list[Price]:
    """The current price book, by model and modality; or every price that is still to come."""
    begun = price.c.valid_from <= now
    query = select(price).where(~begun if upcoming else begun)
    rows = connection.execute(
        query.order_by(price.c.model, price.c.modality, price.c.valid_from, price.c.id)
    )
    # Set twice for one instant: the later word counts.
    latest = {(row.model, row.modality, row.valid_from if upcoming else None): row for row in rows}
    return [_read(row) for row in latest.values()]


def _insert(connection: Connection, new: Price) -> Price:
    connection.execute(
        insert(price).values(
            id=new.id,
            model=new.model,
            modality=new.modality,
            unit_nanousd=new.unit_nanousd,
            valid_from=new.valid_from,
        )
    )
    return new


def _read(row: Row[Any]) -> Price:
    return Price(row.id, row.model, row.modality, row.unit_nanousd, row.valid_from)
