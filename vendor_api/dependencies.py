"""What an endpoint may ask for by annotation: the shop it stands in, and who is asking."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer

from shared.errors import ErrorCode
from vendor_api import notes
from vendor_api.alerts.alert import Alert
from vendor_api.auth.access import Scope, check_scope
from vendor_api.auth.service import Authenticator, InvalidKey, Principal
from vendor_api.coverage import Coverage
from vendor_api.embeddings.service import Counter
from vendor_api.errors import VendorError
from vendor_api.ledger.auditor import Auditor
from vendor_api.ledger.commands import LedgerError
from vendor_api.ledger.ledger import Ledger
from vendor_api.limits.limiter import Admission, Limiter
from vendor_api.metering.refusals import translate
from vendor_api.metrics import Metrics
from vendor_api.models.service import Catalogue
from vendor_api.people.passwords import Passwords
from vendor_api.settings import VendorSettings
from vendor_api.spaces import Spaces

_bearer = HTTPBearer(auto_error=False, description="An API key: vl2v_live_…")

__all__ = [
    "CurrentAdmission",
    "CurrentPrincipal",
    "CurrentShop",
    "Shop",
    "admit",
    "recognise",
    "require_scope",
]


@dataclass(slots=True)
class Shop:
    """Everything a request needs, made once by the app's lifespan."""

    ledger: Ledger
    authenticator: Authenticator
    catalogue: Catalogue
    counter: Counter
    metrics: Metrics
    limiter: Limiter
    passwords: Passwords
    coverage: Coverage
    spaces: Spaces
    settings: VendorSettings
    auditor: Auditor | None = None
    """None when the books are checked by command only."""
    alerts: tuple[Alert, ...] = ()
    """Those that were on when they were last looked for."""
    opened_at: int = field(default_factory=lambda: time.time_ns() // 1000)
    """Microseconds since 1970."""
    draining: bool = False
    """Set when the process is asked to stop: `/readyz` then sends traffic elsewhere."""
    running: set[asyncio.Task[Any]] = field(default_factory=set)
    """Paid requests under way; each is finished before the ledger closes."""
    exporting: asyncio.Lock = field(default_factory=asyncio.Lock)
    """One customer's export is read at a time: the others' questions go on being answered."""


def _shop(request: Request) -> Shop:
    shop: Shop = request.app.state.shop
    return shop


CurrentShop = Annotated[Shop, Depends(_shop)]


async def _known(
    request: Request,
    shop: CurrentShop,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> Principal:
    key = None if credentials is None else credentials.credentials
    return await recognise(request, shop, key)


async def recognise(request: Request, shop: Shop, key: str | None) -> Principal:
    """Whose API key it is. Raises VendorError when it is nobody's, or absent."""
    if key is None:
        raise _unauthorized("Send your API key as `Authorization: Bearer vl2v_live_…`.")
    try:
        with request.state.watch.measure("auth"):
            principal = await shop.authenticator.authenticate(key)
    except InvalidKey as error:
        raise _unauthorized(f"The API key is refused: {error}.") from error
    except LedgerError as error:
        raise translate(error) from error
    notes.note(account_id=principal.account_id, key_id=principal.key_id)
    return principal


async def admit(request: Request, shop: Shop, principal: Principal) -> Admission:
    """The door: counted before the body is read; the middleware lets the request out again.

    Raises VendorError when the limits of the key say no.
    """
    state = request.state
    admission = shop.limiter.receive(
        principal.key_id, principal.limits, state.request_id, lambda: int(state.body_bytes)
    )
    state.admission = admission
    await admission.enter()
    return admission


async def _admit(
    request: Request, shop: CurrentShop, principal: Annotated[Principal, Depends(_known)]
) -> Admission:
    return await admit(request, shop, principal)


CurrentAdmission = Annotated[Admission, Depends(_admit)]


async def _principal(
    principal: Annotated[Principal, Depends(_known)], _: CurrentAdmission
) -> Principal:
    return principal


CurrentPrincipal = Annotated[Principal, Depends(_principal)]
"""Who is asking; known, and within the limits of the key."""


def require_scope(scope: Scope) -> Callable[..., Awaitable[None]]:
    """A dependency for routes that only keys with that scope may use."""

    async def check(principal: CurrentPrincipal) -> None:
        check_scope(principal, scope)

    return check


def _unauthorized(detail: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_API_KEY, detail, headers={"www-authenticate": "Bearer"})
