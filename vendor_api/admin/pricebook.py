"""The whole price book: what was, what is, what is to come."""

from typing import Any, Literal

from sqlalchemy import Connection, Row, select

from shared.money import format_usd
from vendor_api.admin.documents import Listing, PriceDocument
from vendor_api.db import format_instant
from vendor_api.db.tables import price_version

__all__ = ["list_models", "list_prices"]


def list_models(connection: Connection) -> list[str]:
    """Ids of the models that have or had a price, or will have one."""
    query = select(price_version.c.model).distinct().order_by(price_version.c.model)
    return list(connection.execute(query).scalars())


def list_prices(
    connection: Connection, now: int, model: str | None = None
) -> Listing[PriceDocument]:
    """Every version of every price, by model, modality and the instant it applies from."""
    query = select(price_version)
    if model is not None:
        query = query.where(price_version.c.model == model)
    order = [price_version.c[name] for name in ("model", "modality", "valid_from", "id")]
    rows = connection.execute(query.order_by(*order)).all()
    current = {(row.model, row.modality): row.id for row in rows if row.valid_from <= now}
    documents = [_price(row, now, current.get((row.model, row.modality))) for row in rows]
    return Listing(data=documents, has_more=False)


def _price(row: Row[Any], now: int, current: str | None) -> PriceDocument:
    state: Literal["past", "current", "upcoming"] = (
        "current" if row.id == current else "upcoming" if row.valid_from > now else "past"
    )
    return PriceDocument(
        id=row.id,
        model=row.model,
        modality=row.modality,
        price_usd=format_usd(row.unit_nanousd),
        valid_from=format_instant(row.valid_from),
        state=state,
    )
