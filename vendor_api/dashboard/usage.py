"""The usage explorer: what was embedded, gathered by whatever somebody asks for."""

from typing import Any, get_args

from fastapi import APIRouter, Request
from sqlalchemy import Connection
from starlette.responses import Response

from shared.errors import ErrorCode
from shared.wire import Modality
from vendor_api.admin.sheets import Form
from vendor_api.dashboard.charts import Point, draw_counts
from vendor_api.dashboard.files import send_file
from vendor_api.dashboard.filters import Filters
from vendor_api.dashboard.page import render
from vendor_api.dashboard.reading import look, read_names
from vendor_api.dashboard.visitors import CurrentVisitor
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop
from vendor_api.errors import VendorError
from vendor_api.reports.plain import describe
from vendor_api.reports.ranges import end_of_bucket
from vendor_api.reports.usage import (
    Group,
    Outcome,
    Usage,
    UsageSelection,
    list_usage,
    read_usage_total,
    stream_usage,
)

PATH = "/dashboard/usage"
MAX_POINTS = 1000
_NAMES = ("since", "until", "account", "key", "model", "modality", "outcome", "group")

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(PATH)
async def get_usage(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """Usage by the groups of the address, with its total."""
    after = request.query_params.get("after") or None

    def query(connection: Connection) -> dict[str, Any]:
        now = read_clock(connection)
        filters = Filters(request, now)
        wanted = _select(filters)
        page = list_usage(connection, now, wanted, after=after)
        return {
            "as_of": now,
            "filters": filters,
            "wanted": wanted,
            "page": page,
            "total": read_usage_total(connection, wanted),
            "names": read_names(connection, (row.account_id for row in page.rows)),
        }

    seen = await look(shop, query)
    hours = seen["wanted"].span.in_hours()
    document = {
        "object": "usage",
        "as_of": format_instant(seen["as_of"]),
        **describe({"since": hours.since, "until": hours.until}),
        "total": _counts(seen["total"]),
        **describe(seen["page"]),
    }
    return await render(
        request,
        shop,
        "usage.html",
        visitor=visitor,
        document=document,
        hours=hours,
        groups=get_args(Group),
        end_of_bucket=end_of_bucket,
        asked=seen["filters"].asked(*_NAMES),
        **seen,
    )


@router.get(f"{PATH}/chart.json")
async def get_chart(request: Request, shop: CurrentShop, _visitor: CurrentVisitor) -> Response:
    """Items that came, by day: paid, free, failed."""

    def query(connection: Connection) -> list[Point]:
        now = read_clock(connection)
        wanted = _select(Filters(request, now), groups=("day",))
        rows = list_usage(connection, now, wanted, limit=MAX_POINTS).rows
        names = {"items": "paid", "items_free": "free", "items_failed": "failed"}
        return [
            (row.at, name, getattr(row, column))
            for row in rows
            for column, name in names.items()
            if row.at is not None and getattr(row, column) is not None
        ]

    return draw_counts(await look(shop, query), "items")


@router.get(f"{PATH}.{{form}}")
async def get_usage_file(
    request: Request, shop: CurrentShop, _visitor: CurrentVisitor, form: Form
) -> Response:
    """Every such row as a file."""

    def select_rows(connection: Connection) -> Any:
        return stream_usage(connection, _select(Filters(request, read_clock(connection))))

    return await send_file(shop, "usage", form, Usage, select_rows)


def _select(filters: Filters, *, groups: tuple[Group, ...] | None = None) -> UsageSelection:
    asked: tuple[Group, ...] | None = filters.several("group", get_args(Group))
    try:
        return UsageSelection(
            span=filters.span(),
            account_id=filters.word("account"),
            key_id=filters.word("key"),
            model=filters.word("model"),
            modality=filters.choice("modality", get_args(Modality)),
            outcome=filters.choice("outcome", get_args(Outcome)),
            groups=groups or (("day",) if asked is None else asked),
        )
    except ValueError as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"`group`: {error}.", param="group") from error


def _counts(total: Usage) -> dict[str, Any]:
    whole: dict[str, Any] = describe(total)
    return {name: whole[name] for name in ("items", "items_free", "items_failed", "cost_usd")}
