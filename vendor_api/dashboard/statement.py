"""The money: what was sold, earned, given back and lost, and what customers still have."""

from dataclasses import dataclass
from typing import Any

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from vendor_api.admin.sheets import Form
from vendor_api.dashboard.charts import Point, draw_money
from vendor_api.dashboard.files import send_file
from vendor_api.dashboard.filters import Filters
from vendor_api.dashboard.page import render
from vendor_api.dashboard.reading import look
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.db import read_clock
from vendor_api.db.clock import DAY
from vendor_api.dependencies import CurrentShop
from vendor_api.reports.plain import describe
from vendor_api.reports.revenue import (
    Revenue,
    RevenuePage,
    RevenueSelection,
    list_revenue,
    read_revenue_by_day,
    read_revenue_total,
    stream_revenue,
)
from vendor_api.reports.statement import Statement, read_statement

PATH = "/dashboard/money"
_NAMES = ("since", "until", "account", "model")

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@dataclass(frozen=True, slots=True)
class _Money:
    statement: Statement
    wanted: RevenueSelection
    page: RevenuePage
    captured_nanousd: int
    refunded_nanousd: int

    @property
    def revenue_nanousd(self) -> int:
        return self.captured_nanousd - self.refunded_nanousd


@router.get(PATH)
async def get_money(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """The statement over a span, and revenue by day, model and account."""
    after = request.query_params.get("after") or None

    def query(connection: Connection) -> tuple[_Money, Filters]:
        now = read_clock(connection)
        filters = Filters(request, now)
        wanted = _select(filters)
        statement = read_statement(connection, now, wanted.span, wanted.account_id)
        page = list_revenue(connection, now, wanted, after=after)
        total = read_revenue_total(connection, wanted)
        return _Money(statement, wanted, page, *total), filters

    money, filters = await look(shop, query)
    asked = filters.asked(*_NAMES)
    return await render(
        request,
        shop,
        "statement.html",
        visitor=visitor,
        as_of=money.statement.as_of,
        document=_document(money),
        money=money,
        filters=filters,
        asked=asked,
        day=DAY,
    )


@router.get(f"{PATH}/chart.json")
async def get_chart(request: Request, shop: CurrentShop, _visitor: CurrentVisitor) -> Response:
    """Revenue by day, a line for each model."""

    def query(connection: Connection) -> list[Point]:
        wanted = _select(Filters(request, read_clock(connection)))
        return read_revenue_by_day(connection, wanted)

    return draw_money(await look(shop, query))


@router.get(f"{PATH}/revenue.{{form}}")
async def get_revenue(
    request: Request, shop: CurrentShop, _visitor: CurrentVisitor, form: Form
) -> Response:
    """Every row of the revenue as a file."""

    def select_rows(connection: Connection) -> Any:
        return stream_revenue(connection, _select(Filters(request, read_clock(connection))))

    return await send_file(shop, "revenue", form, Revenue, select_rows)


def _select(filters: Filters) -> RevenueSelection:
    return RevenueSelection(filters.span(), filters.word("account"), filters.word("model"))


def _document(money: _Money) -> dict[str, Any]:
    return {
        "object": "money",
        "as_of": describe(money.statement)["as_of"],
        "statement": describe(money.statement),
        "revenue": {
            "model": money.wanted.model,
            "total": describe(
                {
                    "captured_nanousd": money.captured_nanousd,
                    "refunded_nanousd": money.refunded_nanousd,
                    "revenue_nanousd": money.revenue_nanousd,
                }
            ),
            **describe(money.page),
        },
    }
