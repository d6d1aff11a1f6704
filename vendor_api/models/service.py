"""The models on sale: loaded and priced."""

from collections.abc import Mapping

from shared.errors import ErrorCode
from shared.money import format_usd
from shared.revision import join_space
from shared.wire import Modality, ModelDocument, ModelList
from vendor_api.engine.base import EngineState, ModelInfo, ServedModel
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import REBUY_FREE_DAYS, Price
from vendor_api.metering.service import Meter
from vendor_api.spaces import Space

OWNER = "vl2v"

__all__ = ["Catalogue", "name_model", "name_revision"]


class Catalogue:
    """Models by id. One without a price is neither listed nor sold."""

    def __init__(self, models: Mapping[str, ServedModel], meter: Meter) -> None:
        self._models = dict(models)
        self._meter = meter

    def find(self, name: str, space: Space | None = None) -> ServedModel:
        """The model called `id` or `id@revision`, as an account with that private space knows it.

        Raises VendorError: unknown id (404), other revision or space (409).
        """
        model_id, _, revision = name.partition("@")
        model = self._models.get(model_id)
        if model is None:
            raise self._not_found(model_id)
        current = name_revision(model.info, space)
        if revision and revision != current:
            where = "" if space is None else " in this account's private space"
            raise VendorError(
                ErrorCode.REVISION_CHANGED,
                f"{model_id} is now at revision {current}{where}, not {revision}: its vectors are "
                f"not comparable. Ask for {model_id}@{current} to buy the new ones.",
                param="model",
            )
        return model

    async def prices(self, model_id: str) -> Mapping[Modality, Price]:
        """Both prices of a model. Raises VendorError (404) when it has none."""
        prices = await self._meter.prices(model_id)
        if not prices:
            raise self._not_found(model_id)
        return prices

    async def describe(self, name: str, space: Space | None = None) -> ModelDocument:
        """The document of one model. Raises VendorError as `find` and `prices` do."""
        model = self.find(name, space)
        return _document(model, await self.prices(model.info.id), space)

    async def describe_all(self, space: Space | None = None) -> ModelList:
        """The documents of all models on sale."""
        priced = [(model, await self._meter.prices(key)) for key, model in self._models.items()]
        found = [_document(model, prices, space) for model, prices in priced if prices]
        return ModelList(data=found)

    def forget_prices(self) -> None:
        """To be told of a price that was set here: it counts for the next request."""
        self._meter.forget_prices()

    def states(self) -> list[tuple[str, EngineState]]:
        """Model id and state of each engine."""
        return [(model_id, model.engine.state()) for model_id, model in self._models.items()]

    def _not_found(self, model_id: str) -> VendorError:
        known = ", ".join(self._models) or "nothing"
        detail = f"There is no model {model_id!r} on sale; GET /v1/models lists those that are ({known})."
        return VendorError(ErrorCode.MODEL_NOT_FOUND, detail, param="model")


def name_revision(info: ModelInfo, space: Space | None) -> str:
    """What an account's vectors are comparable under: the revision, and its private space if it has one."""
    return join_space(info.revision, None if space is None else space.id)


def name_model(info: ModelInfo, space: Space | None) -> str:
    """`id@revision`, as answers to that account name it."""
    return f"{info.id}@{name_revision(info, space)}"


def _document(
    model: ServedModel, prices: Mapping[Modality, Price], space: Space | None
) -> ModelDocument:
    info = model.info
    return ModelDocument(
        id=info.id,
        created=info.created,
        owned_by=OWNER,
        revision=name_revision(info, space),
        dimension=info.dimension,
        context_length=info.context_length,
        precision=info.precision,
        logit_scale=info.logit_scale,
        preprocessing=info.preprocessing,
        pixel_probe=info.pixel_probe,
        octets=True,
        prompt_templates=[*info.prompt_templates],
        price_per_image_usd=format_usd(prices["image"].unit_nanousd),
        price_per_text_usd=format_usd(prices["text"].unit_nanousd),
        rebuy_free_days=REBUY_FREE_DAYS,
        space_id=None if space is None else space.id,
    )
