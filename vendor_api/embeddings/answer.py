"""From what was computed and paid to the bytes that leave: OpenAI's shape, widened."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import orjson

from shared import headers
from shared.codecs import Vector, encode_base64
from shared.money import format_usd
from shared.wire import EmbeddingRequest, ItemError
from vendor_api.embeddings.requests import Ask
from vendor_api.embeddings.work import Work
from vendor_api.metering.quote import Quote
from vendor_api.metering.service import Settlement

__all__ = ["Delivery", "find_problems", "write_answer"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished answer; its charge is committed."""

    body: bytes
    headers: dict[str, str]


def write_answer(
    request: EmbeddingRequest,
    model_name: str,
    asks: Sequence[Ask],
    quote: Quote,
    work: Work,
    settlement: Settlement,
    *,
    space_id: str | None = None,
) -> Delivery:
    """`EmbeddingResponse` as JSON, without a detour through pydantic: vectors are most of it."""
    first, problems = quote.first_of, find_problems(asks, quote, work)
    data = []
    for index, (line, problem) in enumerate(zip(quote.line_of, problems, strict=True)):
        vector = None if line is None else work.vectors[line]
        cost = settlement.line_costs_nanousd[line] if line is not None and first[index] else 0
        data.append(
            {
                "object": "embedding",
                "index": index,
                "embedding": None if vector is None else _encode(vector, request),
                "cost_usd": format_usd(cost),
                "truncated": line is not None and work.truncated[line],
                "error": None if problem is None else problem.model_dump(),
            }
        )
    tokens = sum(work.tokens[line] for line in quote.line_of if line is not None)
    images = sum(
        ask.modality == "image" and row["embedding"] is not None
        for ask, row in zip(asks, data, strict=True)
    )
    document = {
        "object": "list",
        "data": data,
        "model": model_name,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "images": images},
        "cost_usd": format_usd(settlement.cost_nanousd),
        "charge_id": settlement.charge_id,
        "space_id": space_id,
    }
    # float32 straight from numpy: shortest digits that read back to the same float32.
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Delivery(body, _headers(settlement, space_id))


def find_problems(asks: Sequence[Ask], quote: Quote, work: Work) -> list[ItemError | None]:
    """By item: why it has no vector, whether that was seen before or after it was decoded."""
    return [
        ask.problem if line is None else work.problems[line]
        for ask, line in zip(asks, quote.line_of, strict=True)
    ]


def _encode(vector: Vector, request: EmbeddingRequest) -> Any:
    if request.encoding_format == "base64":
        return encode_base64(vector, request.embed_dtype)
    return vector


def _headers(settlement: Settlement, space_id: str | None) -> dict[str, str]:
    named = {
        headers.COST_USD: format_usd(settlement.cost_nanousd),
        headers.BALANCE_USD: format_usd(settlement.available_nanousd),
        headers.CHARGE_ID: settlement.charge_id,
    }
    if space_id is not None:
        named[headers.SPACE_ID] = space_id
    return named | ({headers.IDEMPOTENCY_REPLAYED: "true"} if settlement.replayed else {})
