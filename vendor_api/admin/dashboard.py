"""One page to look at: balances, use by day, the latest charges, the last check of the books."""

from functools import cache
from importlib.resources import files

import jinja2
from fastapi import APIRouter, Request
from starlette.responses import HTMLResponse, Response

from shared.money import show_usd
from vendor_api.admin.gate import BrowsingOperator
from vendor_api.admin.integrity import check_books
from vendor_api.admin.overview import CHARGES, DAYS, look_over, show_amount, show_day
from vendor_api.admin.refusals import survey
from vendor_api.dependencies import CurrentShop

CHALLENGE = 'Basic realm="vl2v operator", charset="UTF-8"'
_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; style-src 'self'; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "referrer-policy": "no-referrer",
    "x-content-type-options": "nosniff",
}

router = APIRouter(include_in_schema=False)

__all__ = ["router"]


@router.get("/dashboard")
async def get_dashboard(
    request: Request, shop: CurrentShop, operator: BrowsingOperator
) -> Response:
    """The page, for whoever logs in with an operator's key as the password."""
    if operator is None:
        page = _template("login.html").render()
        return HTMLResponse(page, 401, _HEADERS | {"www-authenticate": CHALLENGE})
    seen = await survey(shop, look_over)
    books = await check_books(request.app, shop)
    page = _template("dashboard.html").render(
        seen=seen, books=books, operator=operator, days=DAYS, charges=CHARGES
    )
    return HTMLResponse(page, headers=_HEADERS)


@router.get("/dashboard.css")
async def get_style() -> Response:
    """How the page looks; the same for everybody."""
    headers = {"cache-control": "public, max-age=3600", "x-content-type-options": "nosniff"}
    return Response(_read("dashboard.css"), headers=headers, media_type="text/css")


def _template(name: str) -> jinja2.Template:
    return _environment().get_template(name)


@cache
def _environment() -> jinja2.Environment:
    # Account names and idempotency keys are a customer's: escaped wherever they appear.
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_read),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"usd": show_amount, "nanousd": show_usd, "day": show_day}
    return environment


@cache
def _read(name: str) -> str:
    return files("vendor_api.admin").joinpath(f"templates/{name}").read_text(encoding="utf-8")
