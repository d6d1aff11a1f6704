"""Movements of money one by one: credits, gifts, refunds, adjustments, expiries."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from vendor_api.admin.sheets import Form
from vendor_api.dashboard.files import send_file
from vendor_api.dashboard.filters import Filters
from vendor_api.dashboard.page import render
from vendor_api.dashboard.reading import look
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop
from vendor_api.reports.movements import (
    KINDS,
    Movement,
    MovementPage,
    list_movements,
    stream_movements,
)
from vendor_api.reports.plain import describe

PATH = "/dashboard/money/journal"
_NAMES = ("since", "until", "account", "kind")

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(PATH)
async def get_journal(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """Movements that are no captures, the latest first."""
    after = request.query_params.get("after") or None

    def query(connection: Connection) -> tuple[int, MovementPage, Filters]:
        now = read_clock(connection)
        filters = Filters(request, now)
        span, wanted = _select(filters)
        return now, list_movements(connection, span, after=after, **wanted), filters

    now, page, filters = await look(shop, query)
    return await render(
        request,
        shop,
        "journal.html",
        visitor=visitor,
        as_of=now,
        document={"object": "journal", "as_of": format_instant(now), **describe(page)},
        page=page,
        kinds=KINDS,
        filters=filters,
        asked=filters.asked(*_NAMES),
    )


@router.get(f"{PATH}.{{form}}")
async def get_journal_file(
    request: Request, shop: CurrentShop, _visitor: CurrentVisitor, form: Form
) -> Response:
    """Every such movement as a file."""

    def select_rows(connection: Connection) -> Any:
        span, wanted = _select(Filters(request, read_clock(connection)))
        return stream_movements(connection, span, **wanted)

    return await send_file(shop, "journal", form, Movement, select_rows)


def _select(filters: Filters) -> tuple[Any, dict[str, Any]]:
    wanted = {"account_id": filters.word("account"), "kind": filters.choice("kind", KINDS)}
    return filters.span(), wanted
