"""The price book: immutable versions, the latest of which is current."""

from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from shared.wire import Modality
from vendor_api.db.tables import price_version as price
from vendor_api.ledger.commands import Price
from vendor_api.ledger.ids import new_id

__all__ = ["current_prices", "list_prices", "set_prices"]


def set_prices(
    connection: Connection, now: int, model: str, units: Mapping[Modality, int]
) -> dict[Modality, Price]:
    """Sell `model` at these prices from now on; returns them. An unchanged price stays as it is."""
    current = current_prices(connection, now, model)
    for modality, unit in units.items():
        if unit < 0:
            raise ValueError("a price is not negative")
        if modality in current and current[modality].unit_nanousd == unit:
            continue
        new = Price(new_id("prc"), model, modality, unit)
        connection.execute(
            insert(price).values(
                id=new.id, model=model, modality=modality, unit_nanousd=unit, valid_from=now
            )
        )
        current[modality] = new
    return current


def current_prices(connection: Connection, now: int, model: str) -> dict[Modality, Price]:
    """The model's current price of each modality; empty when it is not for sale."""
    return {each.modality: each for each in list_prices(connection, now) if each.model == model}


def list_prices(connection: Connection, now: int) -> list[Price]:
    """The current price book, by model and modality."""
    query = select(price).where(price.c.valid_from <= now)
    rows = connection.execute(
        query.order_by(price.c.model, price.c.modality, price.c.valid_from, price.c.id)
    )
    latest = {(row.model, row.modality): row for row in rows}
    return [Price(row.id, row.model, row.modality, row.unit_nanousd) for row in latest.values()]
