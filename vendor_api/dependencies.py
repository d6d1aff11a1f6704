"""What an endpoint may ask for by annotation: the shop it stands in, and who is asking."""

import asyncio
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.errors import ErrorCode
from vendor_api.auth.service import Authenticator, InvalidKey, Principal
from vendor_api.embeddings.service import Counter
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import LedgerError
from vendor_api.ledger.ledger import Ledger
from vendor_api.metering.refusals import translate
from vendor_api.metrics import Metrics
from vendor_api.models.service import Catalogue

_bearer = HTTPBearer(auto_error=False, description="An API key: vl2v_live_…")

__all__ = ["CurrentPrincipal", "CurrentShop", "Shop"]


@dataclass(slots=True)
class Shop:
    """Everything a request needs, made once by the app's lifespan."""

    ledger: Ledger
    authenticator: Authenticator
    catalogue: Catalogue
    counter: Counter
    metrics: Metrics
    draining: bool = False
    """Set when the process is asked to stop: `/readyz` then sends traffic elsewhere."""
    running: set[asyncio.Task[Any]] = field(default_factory=set)
    """Paid requests under way; each is finished before the ledger closes."""


def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


CurrentShop = Annotated[Shop, Depends(_shop)]


async def _principal(
    shop: CurrentShop,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    if credentials is None:
        raise _unauthorized("Send your API key as `Authorization: Bearer vl2v_live_…`.")
    try:
        return await shop.authenticator.authenticate(credentials.credentials)
    except InvalidKey as error:
        raise _unauthorized(f"The API key is refused: {error}.") from error
    except LedgerError as error:
        raise translate(error) from error


CurrentPrincipal = Annotated[Principal, Depends(_principal)]


def _unauthorized(detail: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_API_KEY, detail, headers={"www-authenticate": "Bearer"})
