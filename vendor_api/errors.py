"""One exception, one envelope: RFC 9457 problem+json with OpenAI's `error` member, for every error."""

import math
from collections.abc import Mapping, Sequence

import orjson
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic_core import ErrorDetails
from starlette.exceptions import HTTPException
from starlette.responses import Response

from shared import headers
from shared.errors import ERROR_KINDS, TYPE_PREFIX, ErrorCode
from shared.wire import ErrorBody, Problem, ProblemItem
from vendor_api import notes
from vendor_api.redaction import redact

MEDIA_TYPE = "application/problem+json"

_OPENAI_TYPES = {
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    429: "rate_limit_error",
}
_HTTP_CODES = {
    404: ErrorCode.NOT_FOUND,
    405: ErrorCode.METHOD_NOT_ALLOWED,
    413: ErrorCode.REQUEST_TOO_LARGE,
}
_PAIRS = {404: "Look at /docs for the routes.", 405: "The `allow` header names the methods."}

__all__ = ["MEDIA_TYPE", "VendorError", "install_handlers", "render"]


class VendorError(Exception):
    """A refusal that a client sees; nothing was charged unless the sentence says so."""

    def __init__(
        self,
        code: ErrorCode,
        detail: str,
        *,
        param: str | None = None,
        items: Sequence[ProblemItem] = (),
        retry_after_s: float | None = None,
        retryable: bool | None = None,
        violated_policies: Sequence[str] = (),
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(detail)
        self.code = code
        self.detail = redact(detail)  # it may quote what the client sent
        self.param = param
        self.items = list(items)
        self.retry_after_s = retry_after_s
        self.retryable = ERROR_KINDS[code].retryable if retryable is None else retryable
        self.violated_policies = list(violated_policies)
        self.headers = dict(headers or {})


def render(error: VendorError, request_id: str) -> Response:
    """The error as an answer, with `x-should-retry` and, where it helps, `retry-after`."""
    kind = ERROR_KINDS[error.code]
    notes.note(code=error.code)
    problem = Problem(
        type=TYPE_PREFIX + error.code,
        title=kind.title,
        status=kind.status,
        detail=error.detail,
        code=error.code,
        request_id=request_id,
        errors=error.items,
        violated_policies=error.violated_policies,
        error=ErrorBody(
            message=error.detail,
            type=_openai_type(kind.status),
            param=error.param,
            code=error.code,
        ),
    )
    answer = {headers.SHOULD_RETRY: "true" if error.retryable else "false", **error.headers}
    if error.retryable:
        seconds = 1.0 if error.retry_after_s is None else error.retry_after_s
        answer[headers.RETRY_AFTER] = str(max(1, math.ceil(seconds)))
        answer[headers.RETRY_AFTER_MS] = str(max(1, math.ceil(seconds * 1000)))
    hidden = None if error.violated_policies else {"violated_policies"}
    body = orjson.dumps(problem.model_dump(by_alias=True, exclude=hidden))
    return Response(body, kind.status, answer, MEDIA_TYPE)


def describe_invalid(errors: Sequence[ErrorDetails]) -> str:
    """One sentence about the first thing that is wrong in a document or a query."""
    first = errors[0]
    place = ".".join(str(part) for part in first["loc"] if part not in ("query", "path", "body"))
    return f"{place}: {first['msg']}" if place else first["msg"]


def install_handlers(app: FastAPI) -> None:
    """Make every error of routing, validation and our own leave in the one envelope."""
    app.add_exception_handler(VendorError, _handle_vendor)
    app.add_exception_handler(HTTPException, _handle_http)
    app.add_exception_handler(RequestValidationError, _handle_validation)


async def _handle_vendor(request: Request, error: Exception) -> Response:
    assert isinstance(error, VendorError)  # noqa: S101
    return render(error, request.state.request_id)


async def _handle_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101
    code = _HTTP_CODES.get(error.status_code)
    if code is None:
        code = ErrorCode.INVALID_REQUEST if error.status_code < 500 else ErrorCode.INTERNAL
    detail = (
        f"{request.method} {request.url.path}: {error.detail}. {_PAIRS.get(error.status_code, '')}"
    )
    known = VendorError(code, detail.strip(), headers=error.headers)
    return render(known, request.state.request_id)


async def _handle_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    known = VendorError(ErrorCode.INVALID_REQUEST, describe_invalid(error.errors()))
    return render(known, request.state.request_id)


def _openai_type(status: int) -> str:
    if status >= 500:
        return "server_error"
    return _OPENAI_TYPES.get(status, "invalid_request_error")
