"""The models on sale: loaded and priced."""

from collections.abc import Mapping

from shared.errors import ErrorCode
from shared.money import format_usd
from shared.wire import Modality, ModelDocument, ModelList
from vendor_api.engine.base import EngineState, ServedModel
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import REBUY_FREE_DAYS, Price
from vendor_api.metering.service import Meter

OWNER = "vl2v"

__all__ = ["Catalogue"]


class Catalogue:
    """Models by id. One without a price is neither listed nor sold."""

    def __init__(self, models: Mapping[str, ServedModel], meter: Meter) -> None:
        self._models = dict(models)
        self._meter = meter

    def find(self, name: str) -> ServedModel:
        """The model called `id` or `id@revision`.

        Raises VendorError: unknown id (404), other revision (409).
        """
        model_id, _, revision = name.partition("@")
        model = self._models.get(model_id)
        if model is None:
            raise self._not_found(model_id)
        if revision and revision != model.info.revision:
            raise VendorError(
                ErrorCode.REVISION_CHANGED,
                f"{model_id} is now at revision {model.info.revision}, not {revision}: its vectors are "
                f"not comparable. Ask for {model.name} to buy the new ones.",
                param="model",
            )
        return model

    async def prices(self, model_id: str) -> dict[Modality, Price]:
        """Both prices of a model. Raises VendorError (404) when it has none."""
        prices = await self._meter.prices(model_id)
        if not prices:
            raise self._not_found(model_id)
        return prices

    async def describe(self, name: str) -> ModelDocument:
        """The document of one model. Raises VendorError as `find` and `prices` do."""
        model = self.find(name)
        return _document(model, await self.prices(model.info.id))

    async def describe_all(self) -> ModelList:
        """The documents of all models on sale."""
        priced = [(model, await self._meter.prices(key)) for key, model in self._models.items()]
        return ModelList(data=[_document(model, prices) for model, prices in priced if prices])

    def states(self) -> list[tuple[str, EngineState]]:
        """Model id and state of each engine."""
        return [(model_id, model.engine.state()) for model_id, model in self._models.items()]

    def _not_found(self, model_id: str) -> VendorError:
        known = ", ".join(self._models) or "nothing"
        detail = f"There is no model {model_id!r} on sale; GET /v1/models lists those that are ({known})."
        return VendorError(ErrorCode.MODEL_NOT_FOUND, detail, param="model")


def _document(model: ServedModel, prices: Mapping[Modality, Price]) -> ModelDocument:
    info = model.info
    return ModelDocument(
        id=info.id,
        created=info.created,
        owned_by=OWNER,
        revision=info.revision,
        dimension=info.dimension,
        context_length=info.context_length,
        precision=info.precision,
        logit_scale=info.logit_scale,
        preprocessing=info.preprocessing,
        pixel_probe=info.pixel_probe,
        prompt_templates=[*info.prompt_templates],
        price_per_image_usd=format_usd(prices["image"].unit_nanousd),
        price_per_text_usd=format_usd(prices["text"].unit_nanousd),
        rebuy_free_days=REBUY_FREE_DAYS,
    )
