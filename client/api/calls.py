"""Requests as plain values, built without any I/O, for a synchronous or an asynchronous client."""

import base64
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from shared.codecs import EmbedDtype
from shared.headers import IDEMPOTENCY_KEY

__all__ = ["Call", "ImageInput", "Input", "TextInput", "build_embedding", "build_get"]


@dataclass(frozen=True, slots=True)
class TextInput:
    """A text to embed."""

    text: str


@dataclass(frozen=True, slots=True)
class ImageInput:
    """An image to embed: the bytes of a JPEG, PNG or WebP file."""

    data: bytes = field(repr=False)


Input = TextInput | ImageInput


@dataclass(frozen=True, slots=True)
class Call:
    """One logical call: it may be sent several times, its idempotency key stays the same."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = field(default=None, repr=False)


def build_get(path: str, **query: Any) -> Call:
    """A question without a body; parameters that are None are left out."""
    given = {name: str(value) for name, value in query.items() if value is not None}
    return Call("GET", path, query=given)


def build_embedding(
    items: Sequence[Input],
    *,
    model: str,
    dtype: EmbedDtype,
    idempotency_key: str | None,
    dimensions: int | None = None,
) -> Call:
    """A paid call; without a key of the caller's it gets one of its own, once."""
    body: dict[str, Any] = {
        "model": model,
        "input": [_encode(item) for item in items],
        "encoding_format": "base64",
        "embed_dtype": dtype,
    }
    if dimensions is not None:
        body["dimensions"] = dimensions
    return Call(
        "POST",
        "/v1/embeddings",
        headers={
            "content-type": "application/json",
            IDEMPOTENCY_KEY: idempotency_key or f"sdk-{uuid4().hex}",
        },
        body=json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode(),
    )


def _encode(item: Input) -> dict[str, str]:
    if isinstance(item, TextInput):
        return {"text": item.text}
    return {"image": base64.b64encode(item.data).decode("ascii")}
