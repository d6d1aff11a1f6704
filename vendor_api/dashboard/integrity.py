"""Are the books in order, and what they stand on."""

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from starlette.responses import RedirectResponse, Response

from vendor_api.dashboard.checks import Checks, find_checks, judge_rules
from vendor_api.dashboard.page import HEADERS, render
from vendor_api.dashboard.reading import look
from vendor_api.dashboard.visitors import CurrentVisitor, Visitor, require
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import CurrentShop, Shop
from vendor_api.people.roster import EVERYBODY
from vendor_api.reports.condition import read_condition
from vendor_api.reports.plain import describe

PATH = "/dashboard/integrity"
CHECKERS = EVERYBODY - {"viewer"}
SHOWN = 100

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get(PATH)
async def get_integrity(request: Request, shop: CurrentShop, visitor: CurrentVisitor) -> Response:
    """The last check of every rule, holds past their time, Redis, the database, the last backup."""
    checks = find_checks(request.app, shop)
    condition = await look(shop, lambda c: read_condition(c, read_clock(c)))
    redis = _describe_redis(shop)
    report = checks.last
    return await render(
        request,
        shop,
        "integrity.html",
        visitor=visitor,
        as_of=condition.as_of,
        document={
            "object": "integrity",
            **describe(condition),
            "redis": redis,
            "check": _describe_check(checks),
        },
        condition=condition,
        redis=redis,
        checks=checks,
        report=report,
        violations=report.violations[:SHOWN] if report else (),
        rules=judge_rules(report),
        may_check=visitor.role in CHECKERS,
    )


@router.post(f"{PATH}/checks")
async def post_check(
    request: Request,
    shop: CurrentShop,
    _visitor: Annotated[Visitor, Depends(require(CHECKERS))],
) -> Response:
    """Check every rule over every row now; the page says when it is done."""
    find_checks(request.app, shop).start()
    return RedirectResponse(PATH, 303, HEADERS)


def _describe_check(checks: Checks) -> dict[str, Any]:
    report = checks.last
    document: dict[str, Any] = {"running": checks.running, "failure": checks.failure, "last": None}
    if report is not None:
        document["last"] = {
            "ok": report.ok,
            "checked_at": format_instant(report.at),
            "milliseconds": round(report.seconds * 1000),
            "frozen": list(report.frozen),
            "rules": describe(judge_rules(report)),
            "violations": describe(report.violations[:SHOWN]),
            "violations_total": len(report.violations),
        }
    return document


def _describe_redis(shop: Shop) -> str:
    """`ok` also stands for a vendor that was given no Redis: nothing is degraded."""
    degraded = shop.metrics.registry.get_sample_value("vl2v_redis_degraded")
    return "degraded" if degraded else "ok"
