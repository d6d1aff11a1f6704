"""The OpenAPI document tells the truth: every error a route can answer with, in the one envelope."""

from collections.abc import Iterator, Mapping
from copy import deepcopy
from typing import Any

from fastapi import FastAPI
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from shared.errors import ERROR_KINDS, ErrorCode
from shared.wire import EmbeddingRequest, Problem
from vendor_api.errors import MEDIA_TYPE

ANYWHERE = (
    ErrorCode.INVALID_REQUEST,
    ErrorCode.REQUEST_TIMEOUT,
    ErrorCode.REQUEST_TOO_LARGE,
    ErrorCode.INTERNAL,
    ErrorCode.OVERLOADED,
)
WITH_A_KEY = (
    ErrorCode.INVALID_API_KEY,
    ErrorCode.FORBIDDEN,
    ErrorCode.RATE_LIMITED,
    ErrorCode.NOT_READY,
)
"""Also on every route that asks for one."""

_COMPONENTS = "#/components/schemas/"

__all__ = ["describe_errors", "refer_to", "responses"]


def responses(*codes: ErrorCode) -> dict[int | str, dict[str, Any]]:
    """For a route's `responses=`: these errors, beside those of every route."""
    described: dict[int | str, dict[str, Any]] = {}
    for code in codes:
        kind = ERROR_KINDS[code]
        known = described.get(kind.status, {}).get("description")
        line = f"`{code}`: {kind.title}"
        described[kind.status] = {
            "description": f"{known}; {line}" if known else line,
            "content": {MEDIA_TYPE: {"schema": refer_to(Problem)}},
        }
    return described


def refer_to(model: type[BaseModel]) -> dict[str, str]:
    """A reference to one of the documents that `describe_errors` adds."""
    return {"$ref": _COMPONENTS + model.__name__}


def describe_errors(app: FastAPI, others: Mapping[str, Any]) -> None:
    """Complete the document that the app publishes, once every router is included.

    `others`: paths that FastAPI does not know, as the document has them.
    """
    generate = app.openapi

    def complete() -> dict[str, Any]:
        if app.openapi_schema is None:
            document = generate()
            document["paths"].update(deepcopy(dict(others)))
            for operation in _operations(document):
                _complete(operation)
            _add_components(document)
            app.openapi_schema = document
        return app.openapi_schema

    app.openapi = complete  # type: ignore[method-assign]  # as FastAPI's own guide extends it


def _operations(document: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    for path in document["paths"].values():
        yield from path.values()


def _complete(operation: dict[str, Any]) -> None:
    answers = operation["responses"]
    # FastAPI announces its own 422; here, what does not validate is a 400.
    if "HTTPValidationError" in str(answers.get("422")):
        del answers["422"]
    codes = ANYWHERE + (WITH_A_KEY if operation.get("security") else ())
    for status, described in responses(*codes).items():
        known = answers.setdefault(str(status), described)
        if not known.get("content"):
            answers[str(status)] = described
        elif known["description"] != described["description"]:
            known["description"] += f"; {described['description']}"


def _add_components(document: dict[str, Any]) -> None:
    _, schema = models_json_schema(
        [(Problem, "serialization"), (EmbeddingRequest, "validation")],
        ref_template=_COMPONENTS + "{model}",
    )
    components = document.setdefault("components", {}).setdefault("schemas", {})
    for name in ("HTTPValidationError", "ValidationError"):
        components.pop(name, None)
    components.update(schema["$defs"])
