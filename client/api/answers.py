"""Answers as plain values: vectors decoded, money in nano-dollars, the headers worth having."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar

from pydantic import ValidationError

from client.api.errors import InvalidAnswerError
from shared.codecs import EmbedDtype, Vector, decode_vector
from shared.headers import BALANCE_USD, CHARGE_ID, IDEMPOTENCY_REPLAYED, REQUEST_ID
from shared.money import format_usd, parse_usd
from shared.revision import split_space
from shared.wire import Document, Embedding, EmbeddingResponse, ItemError, Usage

D = TypeVar("D", bound=Document)

__all__ = ["D", "EmbeddedItem", "EmbeddingResult", "read_document", "read_embeddings"]


@dataclass(frozen=True, slots=True)
class EmbeddedItem:
    """One item's answer, in the order of the request."""

    index: int
    embedding: Vector | None
    """float32[d] of unit length; None when `error` says why."""
    cost_nanousd: int
    truncated: bool
    error: ItemError | None
    repeated: bool = False
    """Whether the same content stands before it in the request; it is charged once."""

    @property
    def cost_usd(self) -> str:
        """`cost_nanousd` as a decimal string of dollars, nine places."""
        return format_usd(self.cost_nanousd)

    @property
    def free(self) -> bool:
        """Delivered at no cost: bought before, or repeated in the request."""
        return self.embedding is not None and self.cost_nanousd == 0

    @property
    def cached(self) -> bool:
        """Delivered at no cost because the vendor sold it to this account before."""
        return self.free and not self.repeated


@dataclass(frozen=True, slots=True)
class EmbeddingResult:
    """What a paid call brought and what it cost."""

    data: tuple[EmbeddedItem, ...]
    model: str
    """`id@revision` of the weights that made these vectors, `id@revision~space` in a private space."""
    usage: Usage
    cost_nanousd: int
    """Charged for this answer; zero when it is a replay."""
    balance_nanousd: int | None
    """Left on the account after it."""
    charge_id: str
    request_id: str | None
    replayed: bool
    """Whether the vendor had answered, and charged for, this idempotency key before."""
    retries: int
    space_id: str | None = None
    """The account's private space that the vectors lie in; None: everybody's. Part of `revision`."""

    @property
    def cost_usd(self) -> str:
        """`cost_nanousd` as a decimal string of dollars, nine places."""
        return format_usd(self.cost_nanousd)

    @property
    def revision(self) -> str:
        """The part of `model` after the @."""
        return self.model.partition("@")[2]

    @property
    def dimension(self) -> int | None:
        """Numbers a vector has; None when no item was embedded."""
        return next((len(i.embedding) for i in self.data if i.embedding is not None), None)


def read_document(kind: type[D], body: bytes) -> D:
    """The document in an answer's body. Raises InvalidAnswerError when it is not one."""
    try:
        return kind.model_validate_json(body)
    except ValidationError as error:
        raise InvalidAnswerError(
            f"the answer is not a {kind.__name__} ({error.errors()[0]['msg']}): check that "
            "VL2V_BASE_URL names a vl2v vendor of this version"
        ) from error


def read_embeddings(
    body: bytes,
    headers: Mapping[str, str],
    *,
    repeats: Sequence[bool],
    dtype: EmbedDtype,
    retries: int,
) -> EmbeddingResult:
    """The vectors of an answer; `repeats` says of each item asked whether it is one seen before.

    Raises InvalidAnswerError.
    """
    answer = read_document(EmbeddingResponse, body)
    rows = sorted(answer.data, key=lambda row: row.index)
    if [row.index for row in rows] != list(range(len(repeats))):
        raise InvalidAnswerError(f"{len(repeats)} items were asked for, {len(rows)} were answered")
    if split_space(answer.model)[1] != answer.space_id:
        raise InvalidAnswerError(
            f"the answer names the space {answer.space_id} and the model {answer.model}: "
            "tell the vendor"
        )
    balance = headers.get(BALANCE_USD)
    try:
        return EmbeddingResult(
            data=tuple(
                _read_item(row, dtype, again) for row, again in zip(rows, repeats, strict=True)
            ),
            model=answer.model,
            usage=answer.usage,
            cost_nanousd=parse_usd(answer.cost_usd),
            balance_nanousd=parse_usd(balance) if balance is not None else None,
            charge_id=headers.get(CHARGE_ID, answer.charge_id),
            request_id=headers.get(REQUEST_ID),
            replayed=headers.get(IDEMPOTENCY_REPLAYED) == "true",
            retries=retries,
            space_id=answer.space_id,
        )
    except ValueError as error:
        raise InvalidAnswerError(f"the answer cannot be read: {error}") from error


def _read_item(row: Embedding, dtype: EmbedDtype, repeated: bool) -> EmbeddedItem:
    vector = None if row.embedding is None else decode_vector(row.embedding, dtype)
    cost = parse_usd(row.cost_usd)
    return EmbeddedItem(row.index, vector, cost, row.truncated, row.error, repeated)
