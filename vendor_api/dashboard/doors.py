"""Errors and closed doors as pages: a browser is sent to log in, or told in words what is wrong."""

import json
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response

from vendor_api.dashboard.page import HEADERS, fill, wants_json
from vendor_api.dashboard.visitors import LOGIN, LoginRequired
from vendor_api.errors import VendorError

_Handler = Callable[[Request, Exception], Awaitable[Response]]

__all__ = ["install_doors"]


def install_doors(app: FastAPI) -> None:
    """Make errors below /dashboard leave as pages; every other error leaves as it did before."""
    app.add_exception_handler(LoginRequired, _ask_to_log_in)
    for kind in (VendorError, HTTPException, RequestValidationError):
        before: Any = app.exception_handlers[kind]
        app.add_exception_handler(kind, partial(_answer, before))


async def _ask_to_log_in(request: Request, error: Exception) -> Response:
    assert isinstance(error, LoginRequired)  # noqa: S101
    if "hx-request" in request.headers:  # a part of a page: the whole page has to go
        return Response(status_code=401, headers=HEADERS | {"hx-redirect": LOGIN})
    if wants_json(request):
        sentence = f"Log in at {LOGIN}, or send `Authorization: Bearer vl2v_admin_…`."
        body = json.dumps({"status": 401, "code": "login_required", "detail": sentence})
        headers = HEADERS | {"www-authenticate": "Bearer"}
        return Response(body, 401, headers, "application/problem+json")
    return RedirectResponse(error.location, 303, HEADERS)


async def _answer(before: _Handler, request: Request, error: Exception) -> Response:
    answer = await before(request, error)
    if not request.url.path.startswith("/dashboard") or not _shows_pages(request):
        return answer
    problem = json.loads(bytes(answer.body))
    page = fill(
        request, "error.html", status=answer.status_code, title=problem["title"], problem=problem
    )
    for name, value in answer.headers.items():
        if name.startswith(("retry-", "x-", "www-")):
            page.headers[name] = value
    return page


def _shows_pages(request: Request) -> bool:
    return "text/html" in request.headers.get("accept", "") and not wants_json(request)
