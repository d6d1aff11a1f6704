"""A page for people, and the same as JSON for programs."""

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.resources import files
from typing import Any

import jinja2
import orjson
from fastapi import Request
from pydantic import BaseModel
from starlette.responses import HTMLResponse, Response

from shared.money import show_usd
from vendor_api.admin.refusals import read
from vendor_api.dashboard.filters import address
from vendor_api.dashboard.navigation import list_links
from vendor_api.dashboard.visitors import Visitor
from vendor_api.dashboard.zones import (
    list_others,
    list_zones,
    read_zone,
    remember_zone,
    show_instant,
)
from vendor_api.db import format_instant, read_clock
from vendor_api.dependencies import Shop

HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "cross-origin-opener-policy": "same-origin",
    "referrer-policy": "same-origin",
    "x-content-type-options": "nosniff",
    "vary": "accept, cookie",
}

Document = BaseModel | Mapping[str, Any]

__all__ = ["HEADERS", "Document", "fill", "read_asset", "render", "wants_json", "write_json"]


async def render(
    request: Request,
    shop: Shop,
    name: str,
    /,
    *,
    visitor: Visitor,
    document: Document,
    status: int = 200,
    as_of: int | None = None,
    **context: Any,
) -> Response:
    """The template `name` filled with `context`; `document` as JSON when the caller prefers that.

    `as_of` is when the numbers were read, microseconds; the database's present unless said.
    Templates also find `visitor`, `csrf_token`, `links`, `alerts`, `as_of`, `zone`, `path` and `document`.
    """
    if wants_json(request):
        return write_json(document, status, HEADERS)
    at = await read(shop, read_clock) if as_of is None else as_of
    given = {
        "alerts": shop.alerts,
        "as_of": at,
        "csrf_token": visitor.csrf,
        "document": document,
        "links": list(list_links(visitor.role, request.url.path)),
        "visitor": visitor,
    }
    return fill(request, name, status=status, **given | context)


def fill(request: Request, name: str, /, *, status: int = 200, **context: Any) -> Response:
    """The template `name` for somebody who need not be logged in."""
    zone = read_zone(request)
    given = {
        "others": list_others(request),
        "path": request.url.path,
        "visitor": None,
        "zone": zone,
        "zones": list_zones(zone),
    }
    page = _environment().get_template(name).render(**given | context)
    answer = HTMLResponse(page, status, HEADERS)
    remember_zone(request, answer, zone)
    return answer


def wants_json(request: Request) -> bool:
    """Whether the caller names JSON before HTML in `Accept`."""
    kinds = [
        part.partition(";")[0].strip() for part in request.headers.get("accept", "").split(",")
    ]
    if "application/json" not in kinds:
        return False
    return "text/html" not in kinds[: kinds.index("application/json")]


@cache
def read_asset(folder: str, name: str) -> bytes:
    """One file of the dashboard's `templates` or `static` folder."""
    return files("vendor_api.dashboard").joinpath(f"{folder}/{name}").read_bytes()


@cache
def locate(name: str) -> str:
    """The address of a static file; it changes with the file, so that a browser may keep it."""
    digest = hashlib.sha256(read_asset("static", name)).hexdigest()[:12]
    return f"/dashboard/static/{name}?v={digest}"


@cache
def _environment() -> jinja2.Environment:
    # Account names and idempotency keys are a customer's: escaped wherever they appear.
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(lambda name: read_asset("templates", name).decode()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "nanousd": show_usd,
        "iso": format_instant,
        "local": show_instant,
        "day": lambda instant: format_instant(instant)[:10],
        "grouped": lambda number: f"{number:,}".replace(",", "\u202f"),
    }
    environment.globals["static"] = locate
    environment.globals["address"] = address
    return environment


def write_json(
    document: Document, status: int = 200, headers: Mapping[str, str] = HEADERS
) -> Response:
    """A document for programs, or for a chart."""
    plain = document.model_dump(mode="json") if isinstance(document, BaseModel) else document
    return Response(orjson.dumps(plain), status, dict(headers), "application/json")
