"""From a request's body to items whose cheap checks are done; nothing here touches pixels."""

import string
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson
from pydantic import ValidationError

from shared.digests import digest_image, digest_text
from shared.errors import ErrorCode
from shared.headers import MAX_IDEMPOTENCY_KEY
from shared.wire import MAX_ITEMS, EmbeddingRequest, ImageItem, ItemError, Modality, TextItem
from vendor_api.embeddings.images import MAX_IMAGE_BYTES, ImageRefused, check_image, read_upload
from vendor_api.engine.base import Pixels
from vendor_api.errors import VendorError, describe_invalid

MAX_TEXT_CHARACTERS = 100_000

_VISIBLE = frozenset(string.digits + string.ascii_letters + string.punctuation)
_TOKENS = (
    "Send texts, not tokens: in LangChain's OpenAIEmbeddings set check_embedding_ctx_length=False."
)

__all__ = [
    "Ask",
    "count_refused",
    "parse_idempotency_key",
    "parse_request",
    "read_file",
    "read_items",
    "read_text",
]


@dataclass(frozen=True, slots=True)
class Ask:
    """One item of a request: a text, or an image as a file or as pixels, or why it is neither."""

    modality: Modality
    digest: bytes
    text: str = ""
    data: bytes = b""
    area: int = 0
    """Pixels of an image file, as its header says."""
    pixels: Pixels | None = None
    """An image that the client has resized and cropped itself."""
    problem: ItemError | None = None


def parse_request(body: bytes) -> EmbeddingRequest:
    """The request in `body`. Raises VendorError with a sentence about the first fault."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise VendorError(ErrorCode.INVALID_REQUEST, f"The body is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise VendorError(ErrorCode.INVALID_REQUEST, "The body must be a JSON object.")
    _check_input(document.get("input"))
    try:
        return EmbeddingRequest.model_validate(document)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_input=False)
        param = str(errors[0]["loc"][0]) if errors[0]["loc"] else None
        raise VendorError(
            ErrorCode.INVALID_REQUEST, describe_invalid(errors), param=param
        ) from error


def parse_idempotency_key(header: str | None) -> str | None:
    """The key, bare or in double quotes; None when absent. Raises VendorError for any other form."""
    if header is None:
        return None
    key = header[1:-1] if len(header) > 1 and header[0] == header[-1] == '"' else header
    if not 0 < len(key) <= MAX_IDEMPOTENCY_KEY or not _VISIBLE.issuperset(key):
        raise VendorError(
            ErrorCode.INVALID_REQUEST,
            f"An idempotency-key has 1 to {MAX_IDEMPOTENCY_KEY} visible ASCII characters.",
            param="idempotency-key",
        )
    return key


def read_items(request: EmbeddingRequest) -> list[Ask]:
    """Each item with its digest, images checked by their headers; CPU work for a thread.

    Raises VendorError for what no item can recover from: an empty text, an address of an image.
    """
    given = request.input if isinstance(request.input, list) else [request.input]
    return [_read_item(item, index, request.modality) for index, item in enumerate(given)]


def _read_item(item: str | TextItem | ImageItem, index: int, modality: Modality) -> Ask:
    if isinstance(item, ImageItem):
        return _read_image(item.image, index)
    if isinstance(item, TextItem):
        return read_text(item.text, index)
    return _read_image(item, index) if modality == "image" else read_text(item, index)


def _check_input(given: Any) -> None:
    """What pydantic would describe as a failed union, in words that help."""
    if given is None:
        raise _invalid("`input` is missing: send a text, or a list of texts and images.")
    if not isinstance(given, str | list):
        raise _invalid("`input` must be a text, or a list of texts and images.")
    if not given:
        raise _invalid("`input` is empty: send at least one text or image.")
    if isinstance(given, str):
        return
    if len(given) > MAX_ITEMS:
        raise _invalid(f"`input` has {len(given)} items: send at most {MAX_ITEMS} at a time.")
    for index, item in enumerate(given):
        if isinstance(item, int | list) and not isinstance(item, bool):
            raise _invalid(_TOKENS)
        _check_shape(item, index)


def _check_shape(item: Any, index: int) -> None:
    if isinstance(item, str):
        return
    if not isinstance(item, dict) or len(item) != 1 or not item.keys() <= {"text", "image"}:
        raise _invalid(f'Item {index} is neither a text nor {{"text": …}} nor {{"image": …}}.')
    if not isinstance(next(iter(item.values())), str):
        raise _invalid(f"Item {index}: a text, or base64 text of an image, is expected.")


def read_text(given: str, index: int) -> Ask:
    """One text as an item. Raises VendorError for one that is empty, too long or no Unicode."""
    text = unicodedata.normalize("NFC", given)
    if not text.strip():
        raise VendorError(ErrorCode.INVALID_TEXT, f"Item {index} is an empty text.", param="input")
    if len(text) > MAX_TEXT_CHARACTERS:
        raise VendorError(
            ErrorCode.INVALID_TEXT,
            f"Item {index} has more than {MAX_TEXT_CHARACTERS} characters.",
            param="input",
        )
    try:
        return Ask("text", digest_text(text), text=text)
    except UnicodeEncodeError as error:
        raise VendorError(
            ErrorCode.INVALID_TEXT, f"Item {index} holds half of a surrogate pair.", param="input"
        ) from error


def _read_image(text: str, index: int) -> Ask:
    if text.lower().startswith(("http://", "https://", "ftp://", "file://")):
        raise VendorError(
            ErrorCode.INVALID_IMAGE,
            f"Item {index} is an address: send the image itself, as base64 text or a data URI.",
            param="input",
        )
    try:
        data = read_upload(text)
    except ImageRefused as error:
        return Ask("image", digest_text(text), problem=_problem(error))
    return read_file(data)


def read_file(data: bytes) -> Ask:
    """The bytes of an image file as an item, checked by their header."""
    digest = digest_image(data)
    try:
        if len(data) > MAX_IMAGE_BYTES:
            raise ImageRefused(f"the image has more than {MAX_IMAGE_BYTES} bytes")
        area = check_image(data)
    except ImageRefused as error:
        return Ask("image", digest, problem=_problem(error))
    return Ask("image", digest, data=data, area=area)


def _problem(error: ImageRefused) -> ItemError:
    return ItemError(code=ErrorCode.INVALID_IMAGE, message=str(error))


def _invalid(detail: str) -> VendorError:
    return VendorError(ErrorCode.INVALID_REQUEST, detail, param="input")


def count_refused(items: Sequence[Ask]) -> dict[Modality, int]:
    """Items that failed the cheap checks, by modality."""
    counts: dict[Modality, int] = {}
    for item in items:
        if item.problem is not None:
            counts[item.modality] = counts.get(item.modality, 0) + 1
    return counts
