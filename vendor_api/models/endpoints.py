"""Routes of the model catalogue."""

from fastapi import APIRouter

from shared.errors import ErrorCode
from shared.wire import ModelDocument, ModelList
from vendor_api.dependencies import CurrentPrincipal, CurrentShop
from vendor_api.openapi import responses

router = APIRouter(prefix="/v1/models", tags=["models"])

__all__ = ["router"]


@router.get("")
async def list_models(shop: CurrentShop, principal: CurrentPrincipal) -> ModelList:
    """Every model on sale, with its prices."""
    return await shop.catalogue.describe_all(principal.space)


@router.get(
    "/{name:path}", responses=responses(ErrorCode.MODEL_NOT_FOUND, ErrorCode.REVISION_CHANGED)
)
async def get_model(name: str, shop: CurrentShop, principal: CurrentPrincipal) -> ModelDocument:
    """One model by `id`, or by `id@revision` to be refused when the revision has changed."""
    return await shop.catalogue.describe(name, principal.space)
