"""A filled-in form as an order: what was typed is kept, what is wrong is said at its field."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails
from starlette.datastructures import ImmutableMultiDict

from vendor_api.errors import VendorError

O = TypeVar("O", bound=BaseModel)  # noqa: E741

Sent = ImmutableMultiDict[str, Any]
"""A form's fields, or a query's."""

_SENTENCES = {
    "missing": "Fill this in.",
    "int_type": "Write a whole number, like 1000.",
    "string_pattern_mismatch": "Write an id in plain letters, digits and signs, without spaces.",
    "too_short": "Choose at least one.",
    "literal_error": "Choose one of those offered.",
}

__all__ = ["EMPTY", "Filled", "Sent", "begin", "read_form", "refill"]


@dataclass(frozen=True, slots=True)
class Filled(Generic[O]):
    """A form as somebody sent it."""

    order: O | None = None
    """None when something is wrong."""
    typed: Mapping[str, str | list[str]] = field(default_factory=dict)
    errors: Mapping[str, str] = field(default_factory=dict)
    """Field → what is wrong with it; under the empty name what is wrong with the whole."""


EMPTY: Filled[Any] = Filled()
"""A form that nobody has filled in."""


def begin(typed: Mapping[str, str | list[str]]) -> Filled[Any]:
    """A form that begins with what stands there already."""
    return Filled(typed=typed)


def read_form(
    form: Sent,
    kind: type[O],
    *,
    counts: Collection[str] = (),
    several: Collection[str] = (),
) -> Filled[O]:
    """The order in a form; an empty field counts as left out, fields of no such name are ignored.

    `counts` are whole numbers, `several` are fields that may be ticked or sent more than once.
    """
    typed = _keep(form, kind, several)
    try:
        order = kind.model_validate(_build(typed, counts))
    except ValidationError as error:
        wrong = {_name(each): _explain(each, several) for each in reversed(error.errors())}
        return Filled(None, typed, wrong)
    return Filled(order, typed)


def refill(filled: Filled[O], error: VendorError) -> Filled[O]:
    """The form again with what the ledger refused, at the field that it names."""
    known = error.param or ""
    if known not in filled.typed:
        return Filled(None, filled.typed, {"": error.detail})
    return Filled(None, filled.typed, {known: _write(error.detail.removeprefix(f"{known}: "))})


def _keep(
    form: Sent, kind: type[BaseModel], several: Collection[str]
) -> dict[str, str | list[str]]:
    typed: dict[str, str | list[str]] = {}
    for name in kind.model_fields:
        sent = [text for text in form.getlist(name) if isinstance(text, str)]
        typed[name] = sent if name in several else (sent[-1] if sent else "")
    return typed


def _build(typed: Mapping[str, str | list[str]], counts: Collection[str]) -> dict[str, object]:
    given = {name: text for name, text in typed.items() if text and text != [""]}
    return {name: _count(text) if name in counts else text for name, text in given.items()}


def _count(text: str | list[str]) -> object:
    plain = text.strip() if isinstance(text, str) else ""
    return int(plain) if plain.isascii() and plain.isdecimal() and len(plain) < 20 else text


def _name(error: ErrorDetails) -> str:
    return str(error["loc"][0]) if error["loc"] else ""


def _explain(error: ErrorDetails, several: Collection[str]) -> str:
    kind = "too_short" if _name(error) in several and error["type"] == "missing" else error["type"]
    sentence = _SENTENCES.get(kind, error["msg"])
    return _write(sentence)


def _write(sentence: str) -> str:
    return f"{sentence[0].upper()}{sentence[1:].rstrip('.')}."
