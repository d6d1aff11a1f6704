"""An answer in octets, read: the same result as of a JSON answer."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from client.api.answers import EmbeddedItem, EmbeddingResult
from client.api.errors import InvalidAnswerError
from shared import headers as names
from shared.codecs import EmbedDtype, Vector, decode_octets
from shared.money import parse_usd
from shared.revision import split_space
from shared.wire import ItemError, Usage

__all__ = ["read_octets"]


def read_octets(
    body: bytes,
    headers: Mapping[str, str],
    *,
    repeats: Sequence[bool],
    dtype: EmbedDtype,
    retries: int,
) -> EmbeddingResult:
    """The rows of an answer about items of one kind and price; `repeats` as in `read_embeddings`.

    Raises InvalidAnswerError.
    """
    model, space_id = headers.get(names.MODEL, ""), headers.get(names.SPACE_ID)
    if split_space(model)[1] != space_id:
        raise InvalidAnswerError(
            f"the answer names the space {space_id} and the model {model}: tell the vendor"
        )
    try:
        cost = parse_usd(headers[names.COST_USD])
        rows = decode_octets(body, dtype).reshape(len(repeats), int(headers[names.DIMENSION]))
        balance = headers.get(names.BALANCE_USD)
        return EmbeddingResult(
            data=_read_items(rows, headers, repeats, cost),
            model=headers[names.MODEL],
            usage=Usage.model_validate_json(headers[names.USAGE]),
            cost_nanousd=cost,
            balance_nanousd=parse_usd(balance) if balance is not None else None,
            charge_id=headers[names.CHARGE_ID],
            request_id=headers.get(names.REQUEST_ID),
            replayed=headers.get(names.IDEMPOTENCY_REPLAYED) == "true",
            retries=retries,
            space_id=space_id,
        )
    except KeyError as error:
        raise InvalidAnswerError(
            f"the answer has no {error.args[0]} header: check that VL2V_BASE_URL names a vl2v vendor "
            "of this version"
        ) from error
    except ValueError as error:
        raise InvalidAnswerError(f"the answer cannot be read: {error}") from error


def _read_items(
    rows: Vector, headers: Mapping[str, str], repeats: Sequence[bool], cost: int
) -> tuple[EmbeddedItem, ...]:
    failed = _read_errors(headers)
    free = set(_read_json(headers, names.FREE, []))
    cut = set(_read_json(headers, names.TRUNCATED, []))
    charged = [i for i in range(len(rows)) if i not in failed and i not in free and cost]
    if charged and cost % len(charged):
        raise InvalidAnswerError(
            f"{len(charged)} items of one price cannot cost {cost} nano-dollars"
        )
    price = cost // len(charged) if charged else 0
    costs = dict.fromkeys(charged, price)
    return tuple(
        EmbeddedItem(
            index,
            None if index in failed else row,
            costs.get(index, 0),
            index in cut,
            failed.get(index),
            repeated,
        )
        for index, (row, repeated) in enumerate(zip(rows, repeats, strict=True))
    )


def _read_errors(headers: Mapping[str, str]) -> dict[int, ItemError]:
    """By item: its code, and the sentence about it where the vendor had room for one."""
    said = {
        index: message
        for message, indexes in _read_json(headers, names.ERROR_MESSAGES, {}).items()
        for index in indexes
    }
    return {
        int(index): ItemError(
            code=code, message=said.get(int(index), f"the vendor refuses the item: {code}")
        )
        for index, code in _read_json(headers, names.ERRORS, {}).items()
    }


def _read_json(headers: Mapping[str, str], name: str, usual: Any) -> Any:
    return json.loads(headers[name]) if name in headers else usual
