"""For whoever keeps the process running: is it alive, may it be sent traffic, what does it measure."""

import asyncio

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from starlette.responses import Response

from shared.errors import ErrorCode
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.commands import LedgerError
from vendor_api.openapi import responses

PING_SECONDS = 1.0

router = APIRouter(tags=["operation"])

__all__ = ["router"]


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
    responses={200: {"content": {"text/plain": {"schema": {"type": "string"}}}}},
)
async def get_metrics(shop: CurrentShop) -> Response:
    """Prometheus text; nothing in it names an account."""
    return Response(generate_latest(shop.metrics.registry), media_type=CONTENT_TYPE_LATEST)


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
