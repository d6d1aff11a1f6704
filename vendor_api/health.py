"""For whoever keeps the process running: is it alive, may it be sent traffic, what does it measure."""

import asyncio
import hmac
import ipaddress
from typing import Annotated

from fastapi import APIRouter, Depends, Request, Security
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from prometheus_client import CONTENT_TYPE_LATEST
from pydantic import BaseModel
from starlette.responses import Response

from shared.errors import ErrorCode
from vendor_api.alerts import Severity, find_alerts
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.exposition import expose
from vendor_api.ledger.commands import LedgerError
from vendor_api.openapi import responses

PING_SECONDS = 1.0
_RELAYED = ("forwarded", "via", "x-forwarded-for", "x-real-ip")

router = APIRouter(tags=["operation"])

__all__ = ["AlertDocument", "admit_watcher", "router"]

_bearer = HTTPBearer(
    auto_error=False, scheme_name="MetricsToken", description="The vendor's VENDOR_METRICS_TOKEN"
)


class AlertDocument(BaseModel):
    """One thing that somebody should look at now."""

    name: str
    severity: Severity
    summary: str
    link: str


def admit_watcher(
    request: Request,
    shop: CurrentShop,
    credentials: Annotated[HTTPAuthorizationCredentials | None, Security(_bearer)],
) -> None:
    """Who bears the token; without one to bear, this machine. Raises VendorError: 401, 403."""
    token = shop.settings.metrics_token
    if token is None:
        if not _is_local(request):
            raise VendorError(
                ErrorCode.FORBIDDEN,
                "Metrics are for the vendor's own machine: set VENDOR_METRICS_TOKEN there and send "
                "it as `Authorization: Bearer …`.",
            )
    elif credentials is None or not hmac.compare_digest(
        credentials.credentials.encode(), token.get_secret_value().encode()
    ):
        raise VendorError(
            ErrorCode.INVALID_API_KEY,
            "Send the vendor's VENDOR_METRICS_TOKEN as `Authorization: Bearer …`.",
            headers={"www-authenticate": "Bearer"},
        )


@router.get("/healthz")
async def get_health() -> dict[str, str]:
    """200 while the process answers at all."""
    return {"status": "ok"}


@router.get("/readyz", responses=responses(ErrorCode.NOT_READY))
async def get_readiness(shop: CurrentShop) -> dict[str, str]:
    """200 when a request would be served; 503 when an engine is dead, the database gone, or stopping."""
    problem = await _find_problem(shop)
    if problem is not None:
        raise VendorError(ErrorCode.NOT_READY, problem)
    return {"status": "ready"}


@router.get(
    "/metrics",
    response_class=Response,
    dependencies=[Depends(admit_watcher)],
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **responses(ErrorCode.INVALID_API_KEY, ErrorCode.FORBIDDEN),
    },
)
async def get_metrics(shop: CurrentShop) -> Response:
    """Prometheus text; nothing in it names an account."""
    return Response(await asyncio.to_thread(expose, shop.metrics), media_type=CONTENT_TYPE_LATEST)


@router.get(
    "/metrics/alerts",
    dependencies=[Depends(admit_watcher)],
    responses=responses(ErrorCode.INVALID_API_KEY, ErrorCode.FORBIDDEN),
)
async def get_alerts(shop: CurrentShop) -> list[AlertDocument]:
    """What somebody should look at now, the critical first."""
    return [
        AlertDocument(name=each.name, severity=each.severity, summary=each.summary, link=each.link)
        for each in await find_alerts(shop)
    ]


def _is_local(request: Request) -> bool:
    """Whether the caller is on this machine; what a proxy here passes on is from anywhere."""
    if any(name in request.headers for name in _RELAYED):
        return False
    host = request.client.host if request.client is not None else ""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


async def _find_problem(shop: Shop) -> str | None:
    if shop.draining:
        return "The server is being stopped."
    for model, state in shop.catalogue.states():
        if not state.alive:
            return f"The engine of {model} is down."
    try:
        async with asyncio.timeout(PING_SECONDS):
            await shop.ledger.ping()
    except (LedgerError, TimeoutError):
        return "The database does not answer."
    return None
