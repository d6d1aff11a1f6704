"""The first page: what this process is doing now, and what is held and charged by all of them."""

import os

from fastapi import APIRouter, Request
from pydantic import BaseModel
from sqlalchemy import Connection, func, select
from starlette.responses import Response

from shared.money import format_usd
from vendor_api.admin.refusals import read
from vendor_api.dashboard.page import render, write_json
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.db import format_instant, read_clock
from vendor_api.db.clock import DAY
from vendor_api.db.tables import charge, usage_rollup
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.ledger.holds import HELD
from vendor_api.limits.policies import RedisState
from vendor_api.pulse import Pulse

STEP_S = 5
"""Seconds that one point of the chart sums over."""

router = APIRouter(include_in_schema=False)

__all__ = ["Books", "NowDocument", "ProcessDocument", "router"]


class ProcessDocument(BaseModel):
    """One server process over its last seconds; durations in milliseconds."""

    pid: int
    seconds: int
    answers: int
    requests_per_s: float
    items: int
    items_per_s: float
    p50_ms: float | None
    p95_ms: float | None
    p99_ms: float | None
    refusals: int
    failures: int
    failed_percent: float
    in_flight: int
    queued_ms: float
    batches: int
    batch_fill_percent: float | None
    engines_down: list[str]
    redis: RedisState


class Books(BaseModel):
    """What the database says of every process together."""

    holds: int
    held_nanousd: int
    held_usd: str
    day: str
    items_today: int
    charged_today_nanousd: int
    charged_today_usd: str


class NowDocument(BaseModel):
    """What the vendor is doing now."""

    process: ProcessDocument
    books: Books
    as_of: str


@router.get("/dashboard")
async def get_now(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """The page; its numbers look again every five seconds where scripts run."""
    return await _show(request, shop, visitor, "now.html")


@router.get("/dashboard/now/tiles")
async def get_tiles(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """The numbers alone."""
    return await _show(request, shop, visitor, "now_tiles.html")


@router.get("/dashboard/now/chart.json")
async def get_chart(shop: CurrentShop, _visitor: CurrentVisitor) -> Response:
    """The last quarter of an hour of this process, a point each five seconds."""
    return write_json(_draw(shop.metrics.pulse))


async def _show(request: Request, shop: Shop, visitor: CurrentVisitor, template: str) -> Response:
    now, books = await read(shop, _read_books)
    document = NowDocument(process=_observe(shop), books=books, as_of=format_instant(now))
    return await render(request, shop, template, visitor=visitor, document=document, as_of=now)


def _read_books(connection: Connection) -> tuple[int, Books]:
    """When they were read, and what the books hold and charged since midnight in UTC."""
    now = read_clock(connection)
    midnight = now - now % DAY
    held = select(func.count(), func.coalesce(func.sum(charge.c.reserved_nanousd), 0)).where(HELD)
    count, amount = connection.execute(held).one()
    used = select(
        func.coalesce(func.sum(usage_rollup.c["items"]), 0),
        func.coalesce(func.sum(usage_rollup.c.cost_nanousd), 0),
    ).where(usage_rollup.c.hour >= midnight)
    items, cost = connection.execute(used).one()
    return now, Books(
        holds=int(count),
        held_nanousd=int(amount),
        held_usd=format_usd(int(amount)),
        day=format_instant(midnight)[:10],
        items_today=int(items),
        charged_today_nanousd=int(cost),
        charged_today_usd=format_usd(int(cost)),
    )


def _observe(shop: Shop) -> ProcessDocument:
    window = shop.metrics.pulse.window()
    sums, states = window.sums, shop.catalogue.states()
    return ProcessDocument(
        pid=os.getpid(),
        seconds=window.seconds,
        answers=sums.answers,
        requests_per_s=sums.answers / window.seconds,
        items=sums.items,
        items_per_s=sums.items / window.seconds,
        p50_ms=sums.percentile_ms(0.50),
        p95_ms=sums.percentile_ms(0.95),
        p99_ms=sums.percentile_ms(0.99),
        refusals=sums.refusals,
        failures=sums.failures,
        failed_percent=100 * sums.failures / max(1, sums.answers),
        in_flight=window.in_flight,
        queued_ms=sum(state.queued_ms for _, state in states),
        batches=sums.batches,
        batch_fill_percent=100 * sums.batch_items / sums.batch_room if sums.batch_room else None,
        engines_down=[model for model, state in states if not state.alive],
        redis=shop.limiter.redis,
    )


def _draw(pulse: Pulse) -> dict[str, object]:
    seconds = list(pulse.history(STEP_S))
    lines = {
        "requests": ("/s", [each.answers / STEP_S for each in seconds]),
        "items": ("/s", [each.items / STEP_S for each in seconds]),
        "p95": ("ms", [each.percentile_ms(0.95) for each in seconds]),
    }
    return {
        "x": [each.at for each in seconds],
        "series": [
            {"label": label, "unit": unit, "values": values}
            for label, (unit, values) in lines.items()
        ],
    }
