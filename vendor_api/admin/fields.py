"""The kinds of values that operators send: amounts as strings, ids, references, instants."""

from collections.abc import Callable
from typing import Annotated

from fastapi import Path
from pydantic import AfterValidator, BeforeValidator, Field, StringConstraints, WithJsonSchema
from pydantic_core import PydanticCustomError

from shared.money import MAX_NANOUSD, parse_usd
from shared.wire import MAX_ITEMS
from vendor_api.db import MAX_CREDITED_NANOUSD
from vendor_api.instants import parse_duration, parse_instant

MAX_PRICE_NANOUSD = MAX_NANOUSD // MAX_ITEMS
MAX_COUNT = 2**53 - 1
"""Every JSON parser reads integers up to here exactly."""

__all__ = [
    "MAX_PRICE_NANOUSD",
    "AccountId",
    "ChargeId",
    "CostUsd",
    "Count",
    "CreditUsd",
    "Duration",
    "Instant",
    "KeyId",
    "Label",
    "LimitUsd",
    "ModelId",
    "Name",
    "PriceUsd",
    "Reason",
    "SignedUsd",
]


def _refuse(sentence: str) -> PydanticCustomError:
    return PydanticCustomError("value", "{sentence}", {"sentence": sentence})


def _parse_with(parse: Callable[[str], int], example: str) -> Callable[[object], int]:
    def read(value: object) -> int:
        if not isinstance(value, str):
            raise _refuse(f'write it as a string, like "{example}"')
        try:
            return parse(value)
        except ValueError as error:
            raise _refuse(str(error)) from error

    return read


def _within(low: int, high: int, sentence: str) -> Callable[[str], int]:
    def parse(text: str) -> int:
        amount = parse_usd(text)
        if not low <= amount <= high:
            raise ValueError(sentence)
        return amount

    return parse


def _parse_adjustment(text: str) -> int:
    amount = parse_usd(text)
    if amount == 0 or abs(amount) > MAX_CREDITED_NANOUSD:
        raise ValueError("an adjustment is not zero, and less than 4.6 billion dollars")
    return amount


def _amount(parse: Callable[[str], int], pattern: str) -> tuple[BeforeValidator, WithJsonSchema]:
    schema = {"type": "string", "pattern": pattern, "examples": ["2.50"]}
    return BeforeValidator(_parse_with(parse, "2.50")), WithJsonSchema(schema)


def _check_printable(text: str) -> str:
    stripped = text.strip()
    if not stripped or not stripped.isprintable():
        raise _refuse("write it in printable characters, at least one")
    return stripped


_UNSIGNED = r"^[0-9]{1,10}(\.[0-9]{1,9})?$"
_READ_CREDIT = _amount(
    _within(
        1, MAX_CREDITED_NANOUSD, "a credit is more than zero and less than 4.6 billion dollars"
    ),
    _UNSIGNED,
)
_READ_LIMIT = _amount(
    _within(0, MAX_CREDITED_NANOUSD, "a credit limit is zero or more, less than 4.6 billion"),
    _UNSIGNED,
)
_READ_PRICE = _amount(
    _within(0, MAX_PRICE_NANOUSD, "a price is zero or more, and less than 36 million dollars"),
    _UNSIGNED,
)
_READ_COST = _amount(
    _within(0, MAX_NANOUSD, "an amount here is zero dollars or more"),
    _UNSIGNED,
)
_READ_SIGNED = _amount(_parse_adjustment, r"^-?[0-9]{1,10}(\.[0-9]{1,9})?$")

CreditUsd = Annotated[int, *_READ_CREDIT]
LimitUsd = Annotated[int, *_READ_LIMIT]
PriceUsd = Annotated[int, *_READ_PRICE]
CostUsd = Annotated[int, *_READ_COST]
SignedUsd = Annotated[int, *_READ_SIGNED]
Count = Annotated[int, Field(strict=True, ge=0, le=MAX_COUNT)]

Instant = Annotated[
    int,
    BeforeValidator(_parse_with(parse_instant, "2027-01-31T00:00:00Z")),
    WithJsonSchema({"type": "string", "examples": ["2027-01-31T00:00:00Z"]}),
]
Duration = Annotated[
    int,
    BeforeValidator(_parse_with(parse_duration, "24h")),
    WithJsonSchema({"type": "string", "pattern": "^[0-9]{1,6}[mhd]$", "examples": ["24h"]}),
]
Label = Annotated[
    str, StringConstraints(strict=True, max_length=200), AfterValidator(_check_printable)
]
"""A payment's or a correction's own reference."""
Name = Label
ModelId = Annotated[str, StringConstraints(strict=True, pattern=r"^[\x21-\x7e]{1,200}$")]
Reason = Annotated[
    str, StringConstraints(strict=True, max_length=500), AfterValidator(_check_printable)
]

AccountId = Annotated[str, Path(pattern=r"^acct_[0-9A-Za-z]{1,40}$")]
ChargeId = Annotated[str, Path(pattern=r"^chg_[0-9A-Za-z]{1,40}$")]
KeyId = Annotated[str, Path(pattern=r"^key_[0-9A-Za-z]{1,40}$")]
