"""Signs of abuse: what is asked again, what is refused, what is new."""

from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from vendor_api.admin.sheets import Form
from vendor_api.dashboard.charts import Point, draw_counts
from vendor_api.dashboard.files import send_file
from vendor_api.dashboard.filters import Filters
from vendor_api.dashboard.page import render
from vendor_api.dashboard.reading import look
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop
from vendor_api.reports.coverage import CoverageRow, list_coverage
from vendor_api.reports.plain import describe
from vendor_api.reports.signals import Signals, list_signals, read_novelty

PATH = "/dashboard/abuse"
_NAMES = ("since", "until", "account")

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(PATH)
async def get_abuse(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """Every account with use, the busiest first."""

    def query(connection: Connection) -> dict[str, Any]:
        now = read_clock(connection)
        filters = Filters(request, now)
        span, account_id = filters.span(), filters.word("account")
        return {
            "as_of": now,
            "filters": filters,
            "hours": span.in_hours(),
            "rows": list_signals(connection, span, account_id=account_id),
            "coverage": list_coverage(connection, account_id),
        }

    seen = await look(shop, query)
    document = {
        "object": "abuse_signals",
        "as_of": format_instant(seen["as_of"]),
        **describe({"since": seen["hours"].since, "until": seen["hours"].until}),
        "rows": describe(seen["rows"]),
        "coverage": describe(seen["coverage"]),
    }
    return await render(
        request,
        shop,
        "abuse.html",
        visitor=visitor,
        document=document,
        asked=seen["filters"].asked(*_NAMES),
        **seen,
    )


@router.get(f"{PATH}/novelty.json")
async def get_novelty(request: Request, shop: CurrentShop, _visitor: CurrentVisitor) -> Response:
    """The share of new items by day, in per mille."""

    def query(connection: Connection) -> list[Point]:
        filters = Filters(request, read_clock(connection))
        days = read_novelty(connection, filters.span(), filters.word("account"))
        return [(day.at, "new", day.new_per_mille) for day in days]

    return draw_counts(await look(shop, query), "‰ of items asked for")


@router.get(f"{PATH}/coverage.{{form}}")
async def get_coverage_file(shop: CurrentShop, _visitor: CurrentVisitor, form: Form) -> Response:
    """The coverage of every account and revision as a file."""
    return await send_file(shop, "coverage", form, CoverageRow, list_coverage)


@router.get(f"{PATH}.{{form}}")
async def get_abuse_file(
    request: Request, shop: CurrentShop, _visitor: CurrentVisitor, form: Form
) -> Response:
    """The same rows as a file."""

    def select_rows(connection: Connection) -> Any:
        filters = Filters(request, read_clock(connection))
        return list_signals(connection, filters.span(), account_id=filters.word("account"))

    return await send_file(shop, "abuse", form, Signals, select_rows)
