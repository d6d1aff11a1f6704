"""How a request is to be done and answered, whichever door it came through."""

from dataclasses import dataclass

from shared.codecs import EmbedDtype, Endianness
from shared.errors import ErrorCode
from shared.wire import EmbeddingRequest, EncodingFormat
from vendor_api.engine.base import ModelInfo
from vendor_api.errors import VendorError

MAX_METADATA_ITEMS = 64
"""Of a `bytes` answer: more would make a header that proxies refuse. `bytes_only` has none."""

__all__ = ["MAX_METADATA_ITEMS", "Terms", "check_count", "check_terms", "read_terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """Everything about a request but its items."""

    model: str
    """`id` or `id@revision`."""
    encoding_format: EncodingFormat = "float"
    embed_dtype: EmbedDtype = "float32"
    endianness: Endianness = "little"
    dimensions: int | None = None
    atomic: bool = False
    partial_ok: bool = False

    @property
    def name(self) -> str:
        """What tells two requests for the same items apart."""
        names: list[str] = [self.encoding_format, self.embed_dtype]
        names += ["big"] if self.endianness == "big" else []
        names += ["atomic"] if self.atomic else []
        names += ["partial_ok"] if self.partial_ok else []
        return " ".join(names)


def read_terms(request: EmbeddingRequest) -> Terms:
    """The terms of a JSON request."""
    return Terms(
        model=request.model,
        encoding_format=request.encoding_format,
        embed_dtype=request.embed_dtype,
        endianness=request.endianness,
        dimensions=request.dimensions,
        atomic=request.atomic,
        partial_ok=request.partial_ok,
    )


def check_terms(terms: Terms, info: ModelInfo) -> None:
    """Raises VendorError for terms that this model or no model can meet."""
    if terms.dimensions not in (None, info.dimension):
        raise VendorError(
            ErrorCode.INVALID_REQUEST,
            f"{info.id} has {info.dimension} dimensions: leave `dimensions` out, or send {info.dimension}.",
            param="dimensions",
        )
    if terms.atomic and terms.partial_ok:
        raise VendorError(
            ErrorCode.INVALID_REQUEST,
            "`atomic` wants all or nothing and `partial_ok` takes parts: send one of them.",
            param="partial_ok",
        )


def check_count(terms: Terms, count: int) -> None:
    """Raises VendorError for more items than this kind of answer can hold."""
    if terms.encoding_format == "bytes" and count > MAX_METADATA_ITEMS:
        raise VendorError(
            ErrorCode.INVALID_REQUEST,
            f"`bytes` places each item in a header and takes at most {MAX_METADATA_ITEMS} items: "
            "send fewer, or ask for `bytes_only`.",
            param="encoding_format",
        )
