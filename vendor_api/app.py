"""The vendor's HTTP service, as a table of contents: start reading here."""

import asyncio
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog
from fastapi import FastAPI

from vendor_api import account, admin, dashboard, health
from vendor_api.alerts.watch import AlertWatch
from vendor_api.auth import open_pepper
from vendor_api.auth.changes import KeyChanges
from vendor_api.auth.service import Authenticator
from vendor_api.coverage import Coverage
from vendor_api.dependencies import Shop
from vendor_api.embeddings import binary
from vendor_api.embeddings import endpoints as embeddings
from vendor_api.embeddings.description import describe_binary
from vendor_api.embeddings.results import Results
from vendor_api.embeddings.service import Counter
from vendor_api.embeddings.workshop import Workshop
from vendor_api.engine.base import ServedModel
from vendor_api.engine.batcher import BatcherLimits
from vendor_api.engine.local import close_served, load_served, parse_models, read_manner
from vendor_api.errors import install_handlers
from vendor_api.ledger.auditor import Auditor
from vendor_api.ledger.commands import REQUEST_SECONDS, LedgerError
from vendor_api.ledger.holds import count_holds
from vendor_api.ledger.ledger import Ledger
from vendor_api.limits.limiter import Limiter
from vendor_api.limits.opening import open_limiter
from vendor_api.metering.service import Meter
from vendor_api.metrics import Metrics
from vendor_api.middleware import BodyLimit, RequestRecord, Turnstile
from vendor_api.models import endpoints as models
from vendor_api.models.service import Catalogue
from vendor_api.openapi import describe_errors
from vendor_api.people.passwords import Cost, Passwords
from vendor_api.retention import Eraser
from vendor_api.settings import VendorSettings
from vendor_api.spaces import Spaces

SWEEP_SECONDS = 5.0

__all__ = ["create_app", "load_engines"]

_log = structlog.get_logger("vendor")


def create_app(
    settings: VendorSettings,
    *,
    engines: Mapping[str, ServedModel] | None = None,
    ledger: Ledger | None = None,
    authenticator: Authenticator | None = None,
    metrics: Metrics | None = None,
    password_cost: Cost | None = None,
) -> FastAPI:
    """The application; what is not passed in is opened at start and closed at the end."""
    metrics = metrics or Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with AsyncExitStack() as stack:
            books = ledger or await _open_ledger(settings, metrics, stack)
            doorman = authenticator or await _open_authenticator(settings, stack)
            served = (
                engines if engines is not None else await _open_engines(settings, metrics, stack)
            )
            workshop = Workshop(
                decode_threads=settings.decode_threads, max_queued_ms=settings.max_queued_ms
            )
            stack.push_async_callback(asyncio.to_thread, workshop.close)
            limiter = await open_limiter(settings, metrics)
            stack.push_async_callback(limiter.close)
            passwords = Passwords(password_cost)
            stack.push_async_callback(passwords.close)
            app.state.shop = shop = _furnish(
                settings, books, doorman, served, workshop, metrics, limiter, passwords
            )
            app.state.auditor = shop.auditor = _make_auditor(settings, books, metrics)
            app.state.erase_days = settings.erase_days
            _start_jobs(shop, stack)
            stack.push_async_callback(_finish, shop)
            yield

    app = FastAPI(title="vl2v vendor", lifespan=lifespan, redoc_url=None)
    app.router.routes[:0] = binary.routes()  # the shortest requests look for theirs first
    app.include_router(embeddings.router)
    app.include_router(models.router)
    app.include_router(account.router)
    app.include_router(admin.router)
    app.include_router(dashboard.router)
    app.include_router(health.router)
    install_handlers(app)
    dashboard.install_doors(app)
    describe_errors(app, describe_binary())
    app.add_middleware(
        BodyLimit,
        max_bytes=settings.max_body_bytes,
        max_inflight_bytes=settings.max_inflight_body_bytes,
        timeout_s=settings.body_timeout_s,
    )
    app.add_middleware(RequestRecord, metrics=metrics)
    app.add_middleware(Turnstile)  # the last one added is the outermost
    return app


def load_engines(settings: VendorSettings, metrics: Metrics) -> dict[str, ServedModel]:
    """Every model of the settings, loaded. Raises Refusal."""
    # The entrance admits by work; what it has admitted, and promised, an engine does not turn away.
    limits = BatcherLimits(max_queued_ms=max(settings.max_queued_ms, 1000 * REQUEST_SECONDS))
    engines: dict[str, ServedModel] = {}
    try:
        for model in parse_models(settings.models):
            engines[model.id] = load_served(
                model,
                manner=read_manner(settings),
                limits=limits,
                observe=metrics.observe_batch,
            )
    except Exception:
        close_served(engines)
        raise
    return engines


def _make_auditor(settings: VendorSettings, ledger: Ledger, metrics: Metrics) -> Auditor | None:
    if not settings.audit_seconds:
        return None
    return Auditor(
        ledger.database,
        interval_s=settings.audit_seconds,
        freeze=settings.audit_freezes,
        on_result=metrics.observe_audit,
    )


async def _open_ledger(settings: VendorSettings, metrics: Metrics, stack: AsyncExitStack) -> Ledger:
    ledger = await asyncio.to_thread(
        Ledger.open,
        settings.database_url,
        busy_timeout_s=settings.busy_timeout_s,
        on_commit=metrics.observe_commit,
    )
    stack.push_async_callback(ledger.close)
    return ledger


async def _open_authenticator(settings: VendorSettings, stack: AsyncExitStack) -> Authenticator:
    pepper = await asyncio.to_thread(open_pepper, settings.database_url, settings.key_pepper_file)
    authenticator = await asyncio.to_thread(Authenticator.open, settings.database_url, pepper)
    stack.push_async_callback(authenticator.close)
    return authenticator


def _keep_coverage(coverage: Coverage, ledger: Ledger, stack: AsyncExitStack) -> None:
    stack.push_async_callback(coverage.flush, ledger.database)
    _run_beside(coverage.keep(ledger.database), stack)


def _hear_changes(
    settings: VendorSettings, authenticator: Authenticator, stack: AsyncExitStack
) -> None:
    if settings.redis_url is not None:
        changes = KeyChanges.open(settings.redis_url, authenticator)
        stack.push_async_callback(changes.close)
        _run_beside(changes.listen(), stack)


async def _open_engines(
    settings: VendorSettings, metrics: Metrics, stack: AsyncExitStack
) -> dict[str, ServedModel]:
    served = await asyncio.to_thread(load_engines, settings, metrics)
    stack.push_async_callback(asyncio.to_thread, close_served, served)
    return served


def _furnish(
    settings: VendorSettings,
    ledger: Ledger,
    authenticator: Authenticator,
    served: Mapping[str, ServedModel],
    workshop: Workshop,
    metrics: Metrics,
    limiter: Limiter,
    passwords: Passwords,
) -> Shop:
    meter = Meter(ledger, metrics)
    catalogue = Catalogue(served, meter)
    metrics.watch_engines(catalogue.states)
    spaces, coverage = Spaces(authenticator.pepper), Coverage()
    counter = Counter(
        catalogue,
        meter,
        workshop=workshop,
        metrics=metrics,
        results=Results(settings.result_cache_bytes, metrics.observe_results),
        spaces=spaces,
        coverage=coverage,
    )
    return Shop(
        ledger,
        authenticator,
        catalogue,
        counter,
        metrics,
        limiter,
        passwords,
        coverage,
        spaces,
        settings,
    )


def _start_jobs(shop: Shop, stack: AsyncExitStack) -> None:
    """What goes on beside the requests until the app ends."""
    settings, ledger = shop.settings, shop.ledger
    _keep_coverage(shop.coverage, ledger, stack)
    _hear_changes(settings, shop.authenticator, stack)
    _run_beside(_sweep(ledger, shop.metrics), stack)
    if shop.auditor is not None:
        _run_beside(shop.auditor.run(), stack)
    _run_beside(AlertWatch(shop).run(), stack)
    _run_beside(_erase(settings, ledger), stack)


async def _sweep(ledger: Ledger, metrics: Metrics) -> None:
    """Give back what crashed workers hold, and publish what is held and how the engines are."""
    while True:
        await asyncio.sleep(SWEEP_SECONDS)
        try:
            metrics.expired_holds.inc(await ledger.sweep())
            metrics.holds.set(await ledger.read(count_holds))
            metrics.refresh()
        except LedgerError as error:
            _log.warning("sweep_failed", error=repr(error))


async def _erase(settings: VendorSettings, ledger: Ledger) -> None:
    """Erase what closed accounts need not keep."""
    days, interval_s = settings.erase_days, settings.erase_seconds
    if interval_s:
        await Eraser(ledger.database, days=days, interval_s=interval_s).run()


async def _finish(shop: Shop) -> None:
    """Let every paid request end before the engine and the ledger close."""
    shop.draining = True
    if shop.running:
        await asyncio.wait(set(shop.running))


def _run_beside(work: Coroutine[Any, Any, None], stack: AsyncExitStack) -> None:
    """Run `work` until the app ends."""
    stack.push_async_callback(_cancel, asyncio.create_task(work))


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
