"""What the OpenAPI document says of the routes that FastAPI does not make, and of answers in octets."""

from typing import Any, get_args

from shared import headers
from shared.codecs import EmbedDtype
from shared.errors import ErrorCode
from shared.frames import OCTETS
from shared.headers import IDEMPOTENCY_KEY
from shared.wire import Modality
from vendor_api.embeddings.uploads import KINDS
from vendor_api.openapi import responses

ERRORS = (
    ErrorCode.INVALID_IMAGE,
    ErrorCode.INVALID_TEXT,
    ErrorCode.INSUFFICIENT_CREDIT,
    ErrorCode.SPEND_CAP_REACHED,
    ErrorCode.ACCOUNT_FROZEN,
    ErrorCode.MODEL_NOT_FOUND,
    ErrorCode.REQUEST_IN_FLIGHT,
    ErrorCode.REVISION_CHANGED,
    ErrorCode.NO_VALID_ITEM,
    ErrorCode.ITEMS_REFUSED,
    ErrorCode.IDEMPOTENCY_KEY_REUSED,
    ErrorCode.REPLAY_LIMIT,
    ErrorCode.OVERLOADED,
)
"""What buying embeddings can be refused with, by whatever door."""

PATHS: dict[Modality, str] = {"image": "/v1/embed/image", "text": "/v1/embed/text"}

_BINARY = {"schema": {"type": "string", "format": "binary"}}
IN_OCTETS: dict[str, Any] = {OCTETS: _BINARY}

__all__ = ["ERRORS", "IN_OCTETS", "PATHS", "describe_binary"]


def describe_binary() -> dict[str, Any]:
    """Path → operations of the binary routes."""
    return {path: {"post": _describe(modality)} for modality, path in PATHS.items()}


def _describe(modality: Modality) -> dict[str, Any]:
    plural = f"{modality}s"
    said = (
        "The body is one file, several in frames (each its length, uint32 little-endian, and its "
        "bytes), or uint8 pixels prepared as the model's document says."
        if modality == "image"
        else "The body is one text in UTF-8, or several in frames (each its length, uint32 "
        "little-endian, and its bytes)."
    )
    return {
        "tags": ["embeddings"],
        "summary": f"Vectors of {plural} in octets, for octets",
        "description": f"{said} The answer is one row of numbers for each item, NaN where "
        f"`{headers.ERRORS}` says why.",
        "operationId": f"embed_{plural}",
        "security": [{"HTTPBearer": []}],
        "parameters": _parameters(modality),
        "requestBody": {"required": True, "content": dict.fromkeys(KINDS[modality], _BINARY)},
        "responses": {
            "200": {"description": "The vectors", "content": IN_OCTETS},
            **{str(status): said for status, said in responses(*ERRORS).items()},
        },
    }


def _parameters(modality: Modality) -> list[dict[str, Any]]:
    flag = {"type": "boolean", "default": False}
    known: list[tuple[str, str, bool, dict[str, Any]]] = [
        ("model", "query", True, {"type": "string", "minLength": 1}),
        ("dtype", "query", False, {"enum": list(get_args(EmbedDtype)), "default": "float32"}),
        ("atomic", "query", False, flag),
        ("partial_ok", "query", False, flag),
        (IDEMPOTENCY_KEY, "header", False, {"type": "string"}),
    ]
    if modality == "image":
        known += [
            (headers.SHAPE, "header", False, {"type": "string"}),
            (headers.DTYPE, "header", False, {"enum": ["uint8"]}),
        ]
    return [
        {"name": name, "in": place, "required": required, "schema": schema}
        for name, place, required, schema in known
    ]
