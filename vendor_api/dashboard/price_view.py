"""The models that are served or have a price, and every version of every price."""

from collections.abc import Iterable
from typing import Literal

from sqlalchemy import Connection

from shared.money import parse_usd
from shared.wire import Modality
from vendor_api.admin.pricebook import list_prices
from vendor_api.dashboard.figures import Figures, Instant, Nanousd
from vendor_api.engine.base import EngineState
from vendor_api.instants import parse_instant

__all__ = ["ModelRow", "PriceBook", "PriceRow", "view_prices"]


class PriceRow(Figures):
    """One version of a price."""

    id: str
    model: str
    modality: Modality
    price_nanousd: Nanousd
    """An item."""
    valid_from: Instant
    state: Literal["past", "current", "upcoming"]


class ModelRow(Figures):
    """A model: whether it is served here, and what it costs now."""

    id: str
    served: bool
    alive: bool
    revision: str | None
    queued_ms: float | None
    """Estimated work ahead of a new item."""
    image_nanousd: Nanousd | None
    text_nanousd: Nanousd | None


class PriceBook(Figures):
    """Models, and their prices with the latest first."""

    models: list[ModelRow]
    prices: list[PriceRow]
    as_of: Instant


def view_prices(
    connection: Connection, now: int, engines: Iterable[tuple[str, EngineState]]
) -> PriceBook:
    """The whole price book beside the engines of this process."""
    prices = [
        PriceRow(
            id=each.id,
            model=each.model,
            modality=each.modality,
            price_nanousd=parse_usd(each.price_usd),
            valid_from=parse_instant(each.valid_from),
            state=each.state,
        )
        for each in list_prices(connection, now).data
    ]
    states = dict(engines)
    ids = sorted({*states, *(each.model for each in prices)})
    return PriceBook(
        models=[_model(model_id, states.get(model_id), prices) for model_id in ids],
        prices=sorted(prices, key=lambda each: (-each.valid_from, each.model, each.modality)),
        as_of=now,
    )


def _model(model_id: str, state: EngineState | None, prices: Iterable[PriceRow]) -> ModelRow:
    now = {
        each.modality: each.price_nanousd
        for each in prices
        if each.model == model_id and each.state == "current"
    }
    return ModelRow(
        id=model_id,
        served=state is not None,
        alive=state is not None and state.alive,
        revision=None if state is None else state.revision,
        queued_ms=None if state is None else round(state.queued_ms, 1),
        image_nanousd=now.get("image"),
        text_nanousd=now.get("text"),
    )
