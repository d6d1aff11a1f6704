"""The documents that cross the wire: OpenAI's embeddings shapes, widened; models, balance, usage, charges.

Money is a decimal string with nine places (`shared.money.format_usd`), time is ISO 8601 in UTC.
"""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.codecs import EmbedDtype, Endianness

Modality = Literal["image", "text"]
EncodingFormat = Literal["float", "base64", "bytes", "bytes_only"]
"""JSON numbers, base64 in JSON, or bare octets, `bytes` with a `metadata` header that places each item."""
ChargeState = Literal["held", "captured", "released", "released_final", "expired"]

MAX_ITEMS = 256
"""Items a request, duplicates counted."""


class Document(BaseModel):
    """Base of every answer: unknown members are ignored, so that the vendor may add some."""

    model_config = ConfigDict(frozen=True)


class TextItem(BaseModel):
    """One text to embed."""

    model_config = ConfigDict(extra="forbid")
    text: str


class ImageItem(BaseModel):
    """One image to embed: base64 or a data URI of a JPEG, PNG or WebP file. Addresses are refused."""

    model_config = ConfigDict(extra="forbid")
    image: str


class EmbeddingRequest(BaseModel):
    """`POST /v1/embeddings`: OpenAI's request, with Jina's text and image items beside plain texts."""

    model: str
    """`id`, or `id@revision` to be refused (409) when the revision has changed."""
    input: (
        str | Annotated[list[str | TextItem | ImageItem], Field(min_length=1, max_length=MAX_ITEMS)]
    )
    modality: Modality = "text"
    """What strings of `input` are: `image` makes them base64 or data URIs of images, as infinity has it."""
    encoding_format: EncodingFormat = "float"
    embed_dtype: EmbedDtype = "float32"
    """Of base64 and octets."""
    endianness: Endianness = "little"
    """Of base64 and octets."""
    dimensions: int | None = None
    """Accepted only when it equals the model's."""
    atomic: bool = False
    """All or nothing: one item that cannot be embedded refuses the request (422), for good and free."""
    partial_ok: bool = False
    """When the engine fails part-way, answer and charge what was computed, instead of nothing (503)."""
    user: str | None = None
    """Accepted for compatibility, ignored."""


class ItemError(Document):
    """Why one item of an otherwise good request was not embedded. It costs nothing."""

    code: str
    message: str


class Embedding(Document):
    """One item's answer, in the request's order."""

    object: Literal["embedding"] = "embedding"
    index: int
    embedding: list[float] | str | None
    """A unit-length vector; null when `error` says why."""
    cost_usd: str
    """Charged for this item: zero for a failed item, a repeated one, and one bought before."""
    truncated: bool = False
    """Whether a text was longer than the model's context and was cut."""
    error: ItemError | None = None


class Usage(Document):
    """Tokens as OpenAI counts them, and images."""

    prompt_tokens: int
    total_tokens: int
    images: int = 0


class EmbeddingResponse(Document):
    """The answer to `POST /v1/embeddings`."""

    object: Literal["list"] = "list"
    data: list[Embedding]
    model: str
    """`id@revision` of the weights that made these vectors; `id@revision~space` in a private space."""
    usage: Usage
    cost_usd: str
    """Charged for this answer; zero when it is a replay."""
    charge_id: str
    space_id: str | None = None
    """The account's private space that these vectors lie in; null: everybody's."""


class Preprocessing(Document):
    """What happens to an image before the model, exact enough to repeat."""

    image_size: int
    resize_mode: str
    interpolation: str
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


class ModelDocument(Document):
    """A model on sale: everything a client needs to use its vectors and to predict its bill."""

    object: Literal["model"] = "model"
    id: str
    created: int
    owned_by: str
    revision: str
    """`revision~space` for an account with a private space: vectors of two spaces do not compare."""
    dimension: int
    context_length: int
    precision: str
    logit_scale: float
    """exp of the learned scale: multiplies cosines before a softmax."""
    preprocessing: Preprocessing
    pixel_probe: str = ""
    """`shared.pixels.hash_probe` of the vendor's preprocessing: whoever gets the same may send pixels."""
    octets: bool = False
    """Whether `/v1/embed/image` and `/v1/embed/text` sell it too: frames or pixels in, octets out."""
    prompt_templates: list[str]
    """Recommended prompts, `{}` standing for the class name."""
    price_per_image_usd: str
    price_per_text_usd: str
    rebuy_free_days: int = 0
    """An item bought again by the same account within so many days costs nothing."""
    space_id: str | None = None
    """The private space that the asking account is answered in; null: everybody's."""


class ModelList(Document):
    """`GET /v1/models`."""

    object: Literal["list"] = "list"
    data: list[ModelDocument]


class BalanceDocument(Document):
    """`GET /v1/balance`. available = credited − debited − held + credit limit."""

    object: Literal["balance"] = "balance"
    account_id: str
    credited_usd: str
    debited_usd: str
    held_usd: str
    credit_limit_usd: str
    available_usd: str
    as_of: str


class UsageRow(Document):
    """One hour of one key, model and modality."""

    hour: str
    key_id: str
    model: str
    modality: Modality
    items: int
    """Embedded and charged for."""
    items_free: int
    """Embedded and free: bought before, or repeated in a request."""
    items_failed: int
    cost_usd: str


class UsageDocument(Document):
    """`GET /v1/usage?since=…&until=…`: hourly rows by capture time, with their totals."""

    object: Literal["usage"] = "usage"
    data: list[UsageRow]
    total_items: int
    total_cost_usd: str
    as_of: str


class ChargeDocument(Document):
    """One paid request, as the vendor's ledger holds it."""

    object: Literal["charge"] = "charge"
    id: str
    state: ChargeState
    idempotency_key: str
    request_id: str
    model: str
    revision: str
    images: int
    """Distinct images charged for, those bought before included at price zero."""
    texts: int
    reserved_usd: str
    cost_usd: str
    created_at: str
    captured_at: str | None = None


class ChargeList(Document):
    """`GET /v1/charges?idempotency_key=…&limit=…&after=…`, oldest first."""

    object: Literal["list"] = "list"
    data: list[ChargeDocument]
    has_more: bool


class ErrorBody(Document):
    """OpenAI's error member."""

    message: str
    type: str
    param: str | None = None
    code: str


class ProblemItem(Document):
    """One item's part in a problem."""

    index: int
    code: str
    message: str


class Problem(Document):
    """RFC 9457 problem+json, with OpenAI's `error` member beside it."""

    model_config = ConfigDict(validate_by_name=True)
    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str
    errors: list[ProblemItem] = []
    violated_policies: list[str] = Field(default=[], alias="violated-policies")
    """The limits that refused the request, by their names in `RateLimit-Policy`."""
    error: ErrorBody
