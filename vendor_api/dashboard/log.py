"""The audit log: who changed what, and when."""

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
from vendor_api.reports.changes import (
    Change,
    ChangeSelection,
    list_change_kinds,
    list_changes,
    stream_changes,
)
from vendor_api.reports.plain import describe
from vendor_api.reports.ranges import Range

PATH = "/dashboard/log"
_NAMES = ("actor", "action", "subject", "since", "until")

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(PATH)
async def get_log(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """Changes, the latest first."""
    after = request.query_params.get("after") or None

    def query(connection: Connection) -> dict[str, Any]:
        now = read_clock(connection)
        filters = Filters(request, now)
        page = list_changes(connection, _select(filters), after=after)
        kinds = list_change_kinds(connection)
        return {"as_of": now, "filters": filters, "page": page, "kinds": kinds}

    seen = await look(shop, query)
    return await render(
        request,
        shop,
        "log.html",
        visitor=visitor,
        document={
            "object": "log",
            "as_of": format_instant(seen["as_of"]),
            **describe(seen["page"]),
        },
        asked=seen["filters"].asked(*_NAMES),
        **seen,
    )


@router.get(f"{PATH}.{{form}}")
async def get_log_file(
    request: Request, shop: CurrentShop, _visitor: CurrentVisitor, form: Form
) -> Response:
    """Every such change as a file."""

    def select_rows(connection: Connection) -> Any:
        return stream_changes(connection, _select(Filters(request, read_clock(connection))))

    return await send_file(shop, "audit-log", form, Change, select_rows)


def _select(filters: Filters) -> ChangeSelection:
    return ChangeSelection(
        actor=filters.word("actor"),
        action=filters.word("action"),
        subject=filters.word("subject"),
        span=filters.span(default=lambda _now: Range()),
    )
