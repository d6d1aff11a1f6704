"""Requests and answers as plain values, made without any I/O, for a blocking or an awaiting client."""

import base64
import json
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Generic, Literal, TypeVar
from uuid import uuid4

import numpy as np
from numpy.typing import NDArray

from shared import headers
from shared.codecs import EmbedDtype
from shared.digests import digest_image, digest_pixels, digest_request, digest_text
from shared.frames import FRAMES, TENSOR, pack_frames
from shared.headers import IDEMPOTENCY_KEY
from shared.wire import Modality

T = TypeVar("T")
Wire = Literal["json", "frames"]
"""How items travel: in JSON, or as the octets that they are, with octets back."""

EMBED_PATHS: Mapping[Modality, str] = {"image": "/v1/embed/image", "text": "/v1/embed/text"}
"""Where octets are taken."""

__all__ = [
    "EMBED_PATHS",
    "Answer",
    "Call",
    "ImageInput",
    "Input",
    "Request",
    "TextInput",
    "Wire",
    "build_embedding",
    "build_frames",
    "build_get",
    "build_tensor",
    "content_key",
    "find_repeated_pixels",
    "find_repeats",
    "new_key",
]


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

    def with_key(self, make_key: Callable[[], str]) -> "Call":
        """The same call; one that pays and has no idempotency key of its caller's gets one, once."""
        if self.method == "GET" or IDEMPOTENCY_KEY in self.headers:
            return self
        return replace(self, headers={**self.headers, IDEMPOTENCY_KEY: make_key()})


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: header names in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class Request(Generic[T]):
    """A call and how to read its answer."""

    call: Call
    read: Callable[[Answer, int], T]
    """Takes the answer and how often the call was tried again. Raises InvalidAnswerError."""


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
    **options: Any,
) -> Call:
    """A paid call; options that are None or False are left out."""
    said: dict[str, Any] = {"model": model, "encoding_format": "base64", "embed_dtype": dtype}
    said |= {name: value for name, value in options.items() if value}
    # Pictures are most of the body: their base64 needs no escaping, so it is put in as it is.
    body = b'%s,"input":[%s]}' % (_write_json(said)[:-1], b",".join(map(_encode, items)))
    named = {"content-type": "application/json"}
    if idempotency_key is not None:
        named[IDEMPOTENCY_KEY] = idempotency_key
    return Call(
        "POST",
        "/v1/embeddings",
        headers=named,
        body=body,
    )


def build_frames(
    items: Sequence[Input],
    *,
    model: str,
    dtype: EmbedDtype,
    idempotency_key: str | None,
    **options: Any,
) -> Call:
    """`build_embedding` in octets, of items that are all texts or all images."""
    modality: Modality = "text" if isinstance(items[0], TextInput) else "image"
    body = pack_frames(
        item.text.encode() if isinstance(item, TextInput) else item.data for item in items
    )
    named = {"content-type": FRAMES}
    return _build_octets(modality, body, named, model, dtype, idempotency_key, options)


def build_tensor(
    pixels: NDArray[np.uint8],
    *,
    model: str,
    dtype: EmbedDtype,
    idempotency_key: str | None,
    **options: bool,
) -> Call:
    """A paid call of pictures that are pixels already; options that are False are left out."""
    named = {
        "content-type": TENSOR,
        headers.SHAPE: ",".join(str(size) for size in pixels.shape),
        headers.DTYPE: "uint8",
    }
    return _build_octets("image", pixels.tobytes(), named, model, dtype, idempotency_key, options)


def _build_octets(
    modality: Modality,
    body: bytes,
    named: dict[str, str],
    model: str,
    dtype: EmbedDtype,
    idempotency_key: str | None,
    options: Mapping[str, Any],
) -> Call:
    if idempotency_key is not None:
        named[IDEMPOTENCY_KEY] = idempotency_key
    query = {"model": model, "dtype": dtype} | {name: "true" for name in options if options[name]}
    return Call("POST", EMBED_PATHS[modality], query=query, headers=named, body=body)


def new_key() -> str:
    """An idempotency key that no other call has."""
    return f"sdk-{uuid4().hex}"


def content_key(items: Sequence[str | Input], *, model: str, scope: str = "") -> str:
    """An idempotency key made from what is asked: the same content under the same key, anywhere.

    Asking again, after a crash or on another machine, is then the same purchase; a vendor repeats
    its answer a few times a day. `scope` tells purchases apart that are meant to be two.
    """
    digest = digest_request(
        model=model, revision=scope, options="", items=(_digest(item) for item in items)
    )
    return f"content-{digest.hex()}"


def find_repeats(items: Sequence[Input]) -> list[bool]:
    """Of each item, whether the same content stands before it in the request."""
    seen: set[bytes | str] = set()
    repeats = []
    for item in items:
        content = (
            unicodedata.normalize("NFC", item.text) if isinstance(item, TextInput) else item.data
        )
        repeats.append(content in seen)
        seen.add(content)
    return repeats


def find_repeated_pixels(pixels: NDArray[np.uint8]) -> list[bool]:
    """Of each picture, whether the same pixels stand before it."""
    seen: set[bytes] = set()
    repeats = []
    for picture in pixels:
        content = digest_pixels(picture.data, len(picture))
        repeats.append(content in seen)
        seen.add(content)
    return repeats


def _digest(item: str | Input) -> bytes:
    if isinstance(item, ImageInput):
        return b"i" + digest_image(item.data)
    return b"t" + digest_text(item if isinstance(item, str) else item.text)


def _encode(item: Input) -> bytes:
    if isinstance(item, TextInput):
        return _write_json({"text": item.text})
    return b'{"image":"%s"}' % base64.b64encode(item.data)


def _write_json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()
