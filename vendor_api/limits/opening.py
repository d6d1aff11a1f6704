"""The limiter that the settings describe: over Redis when there is one, else in this process."""

import structlog

from vendor_api.ledger.commands import HOLD_SECONDS
from vendor_api.limits.breaker import Breaker
from vendor_api.limits.fallback import FallbackStore
from vendor_api.limits.limiter import Limiter, Store
from vendor_api.limits.memory import MemoryStore
from vendor_api.limits.policies import Limits
from vendor_api.limits.remote import TIMEOUT_S, RemoteStore
from vendor_api.metrics import Metrics
from vendor_api.settings import VendorSettings

__all__ = ["open_limiter"]

_log = structlog.get_logger("vendor")


async def open_limiter(
    settings: VendorSettings, metrics: Metrics, *, timeout_s: float = TIMEOUT_S
) -> Limiter:
    """A limiter in the running event loop; a Redis that does not answer delays it by `timeout_s`."""
    defaults = Limits(
        requests=settings.requests_per_minute,
        items=settings.items_per_minute,
        bytes=settings.bytes_per_minute,
        concurrency=settings.concurrency,
    )
    return Limiter(
        await _open_store(settings, metrics, timeout_s),
        defaults,
        # A request under way keeps its place for as long as its hold on the money lasts.
        lease_seconds=HOLD_SECONDS,
        decisions=metrics.limit_decisions,
    )


async def _open_store(settings: VendorSettings, metrics: Metrics, timeout_s: float) -> Store:
    local = MemoryStore()
    if settings.redis_url is None:
        return local
    remote = RemoteStore.open(settings.redis_url, timeout_s=timeout_s)
    store = FallbackStore(
        remote, local, breaker=Breaker(), observe=lambda error: _note(metrics, error)
    )
    await store.connect()
    return store


def _note(metrics: Metrics, error: Exception | None) -> None:
    metrics.redis_degraded.set(error is not None)
    if error is None:
        _log.info("redis_is_back")
    else:
        _log.warning("redis_lost", error=repr(error), effect="limits are counted by this process")
