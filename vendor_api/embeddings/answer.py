"""From what was computed and paid to the bytes that leave: OpenAI's shape, widened, or bare octets."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import orjson

from shared import headers
from shared.codecs import Vector, encode_base64
from shared.frames import OCTETS
from shared.money import format_usd
from shared.wire import ItemError
from vendor_api.embeddings.octets import place_items, write_octets
from vendor_api.embeddings.requests import Ask
from vendor_api.embeddings.terms import Terms
from vendor_api.embeddings.work import Work
from vendor_api.engine.base import ModelInfo
from vendor_api.metering.quote import Quote
from vendor_api.metering.service import Settlement

JSON = "application/json"

__all__ = ["Delivery", "Sale", "find_problems", "write_answer"]


@dataclass(frozen=True, slots=True)
class Delivery:
    """A finished answer; its charge is committed."""

    body: bytes
    headers: dict[str, str]
    media_type: str = JSON
    afterwards: Callable[[], None] = lambda: None
    """To be called when it is out, or cannot be sent."""


@dataclass(frozen=True)
class Sale:
    """One request's items, what came of them, and what they cost."""

    terms: Terms
    info: ModelInfo
    model_name: str
    """`id@revision`."""
    asks: Sequence[Ask]
    quote: Quote
    work: Work
    settlement: Settlement
    space_id: str | None = None
    """The account's private space, whose vectors these are."""

    @cached_property
    def vectors(self) -> list[Vector | None]:
        """By item."""
        return [None if line is None else self.work.vectors[line] for line in self.quote.line_of]

    @cached_property
    def problems(self) -> list[ItemError | None]:
        """By item."""
        return find_problems(self.asks, self.quote, self.work)

    @cached_property
    def costs(self) -> list[int]:
        """Nano-dollars by item; a line's cost is its first item's."""
        costs = self.settlement.line_costs_nanousd
        return [
            costs[line] if line is not None and first else 0
            for line, first in zip(self.quote.line_of, self.quote.first_of, strict=True)
        ]

    @property
    def free(self) -> list[bool]:
        """By item: delivered and not charged for."""
        return [
            vector is not None and not cost
            for vector, cost in zip(self.vectors, self.costs, strict=True)
        ]

    @property
    def truncated(self) -> list[bool]:
        """By item: a text that was cut."""
        return [line is not None and self.work.truncated[line] for line in self.quote.line_of]

    @property
    def usage(self) -> dict[str, int]:
        """`Usage` of the delivered items."""
        lines = self.quote.line_of
        tokens = sum(self.work.tokens[line] for line in lines if line is not None)
        images = sum(
            ask.modality == "image" and vector is not None
            for ask, vector in zip(self.asks, self.vectors, strict=True)
        )
        return {"prompt_tokens": tokens, "total_tokens": tokens, "images": images}


def write_answer(sale: Sale) -> Delivery:
    """The answer as its terms ask for it, without a detour through pydantic: vectors are most of it."""
    if sale.terms.encoding_format in ("bytes", "bytes_only"):
        return _write_octets(sale)
    document = {
        "object": "list",
        "data": _write_rows(sale),
        "model": sale.model_name,
        "usage": sale.usage,
        "cost_usd": format_usd(sale.settlement.cost_nanousd),
        "charge_id": sale.settlement.charge_id,
    }
    if sale.space_id is not None:
        document["space_id"] = sale.space_id
    # float32 straight from numpy: shortest digits that read back to the same float32.
    body = orjson.dumps(document, option=orjson.OPT_SERIALIZE_NUMPY)
    return Delivery(body, _headers(sale))


def find_problems(asks: Sequence[Ask], quote: Quote, work: Work) -> list[ItemError | None]:
    """By item: why it has no vector, whether that was seen before or after it was decoded."""
    return [
        ask.problem if line is None else work.problems[line]
        for ask, line in zip(asks, quote.line_of, strict=True)
    ]


def _write_rows(sale: Sale) -> list[dict[str, Any]]:
    rows = []
    items = zip(sale.vectors, sale.costs, sale.truncated, sale.problems, strict=True)
    for index, (vector, cost, truncated, problem) in enumerate(items):
        row = {
            "object": "embedding",
            "index": index,
            "embedding": None if vector is None else _encode(vector, sale.terms),
            "cost_usd": format_usd(cost),
        }
        # What is usual is left out: beside a short vector it would be most of the row.
        if truncated:
            row["truncated"] = True
        if problem is not None:
            row["error"] = problem.model_dump()
        rows.append(row)
    return rows


def _write_octets(sale: Sale) -> Delivery:
    dimension = sale.info.dimension
    body, named = write_octets(sale.terms, sale.model_name, dimension, sale.vectors, sale.problems)
    named[headers.USAGE] = orjson.dumps(sale.usage).decode()
    for name, flags in ((headers.FREE, sale.free), (headers.TRUNCATED, sale.truncated)):
        if any(flags):
            named[name] = orjson.dumps([i for i, flag in enumerate(flags) if flag]).decode()
    if sale.terms.encoding_format == "bytes":
        metadata = {
            "id": sale.settlement.charge_id,
            "model": sale.model_name,
            "data": place_items(sale.terms, len(body), len(sale.asks), dimension),
            "usage": sale.usage,
        }
        named[headers.METADATA] = orjson.dumps(metadata).decode()
    return Delivery(body, named | _headers(sale), OCTETS)


def _encode(vector: Vector, terms: Terms) -> Any:
    if terms.encoding_format == "base64":
        return encode_base64(vector, terms.embed_dtype, terms.endianness)
    return vector


def _headers(sale: Sale) -> dict[str, str]:
    settlement = sale.settlement
    named = {
        headers.COST_USD: format_usd(settlement.cost_nanousd),
        headers.BALANCE_USD: format_usd(settlement.available_nanousd),
        headers.CHARGE_ID: settlement.charge_id,
    }
    if sale.space_id is not None:
        named[headers.SPACE_ID] = sale.space_id
    return named | ({headers.IDEMPOTENCY_REPLAYED: "true"} if settlement.replayed else {})
