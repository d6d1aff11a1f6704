"""Charges: found by any of their names, or filtered."""

from typing import Any, get_args

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from shared.wire import ChargeState
from vendor_api.admin.sheets import Form
from vendor_api.dashboard.files import send_file
from vendor_api.dashboard.filters import Filters
from vendor_api.dashboard.page import render
from vendor_api.dashboard.reading import look, read_names
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop
from vendor_api.reports.charges import (
    ChargeRow,
    ChargeSelection,
    Clock,
    list_charges,
    stream_charges,
)
from vendor_api.reports.plain import describe
from vendor_api.reports.ranges import Range

PATH = "/dashboard/charges"
_NAMES = (
    "q",
    "account",
    "key",
    "model",
    "state",
    "clock",
    "since",
    "until",
    "replayed",
    "refunded",
)

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(PATH)
async def get_charges(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """Charges, the latest first."""

    def query(connection: Connection) -> dict[str, Any]:
        now = read_clock(connection)
        filters = Filters(request, now)
        page = list_charges(connection, _select(filters), after=filters.word("after"))
        names = read_names(connection, (row.account_id for row in page.rows))
        return {"as_of": now, "filters": filters, "page": page, "names": names}

    seen = await look(shop, query)
    document = {
        "object": "charges",
        "as_of": format_instant(seen["as_of"]),
        **describe(seen["page"]),
    }
    return await render(
        request,
        shop,
        "charges.html",
        visitor=visitor,
        document=document,
        states=get_args(ChargeState),
        asked=seen["filters"].asked(*_NAMES),
        **seen,
    )


@router.get(f"{PATH}.{{form}}")
async def get_charges_file(
    request: Request, shop: CurrentShop, _visitor: CurrentVisitor, form: Form
) -> Response:
    """Every such charge as a file."""

    def select_rows(connection: Connection) -> Any:
        return stream_charges(connection, _select(Filters(request, read_clock(connection))))

    return await send_file(shop, "charges", form, ChargeRow, select_rows)


def _select(filters: Filters) -> ChargeSelection:
    return ChargeSelection(
        search=filters.word("q"),
        account_id=filters.word("account"),
        key_id=filters.word("key"),
        model=filters.word("model"),
        state=filters.choice("state", get_args(ChargeState)),
        replayed=filters.mark("replayed"),
        refunded=filters.mark("refunded"),
        clock=filters.choice("clock", get_args(Clock)) or "created",
        span=filters.span(default=lambda _now: Range()),
    )
