"""Pages that ask: a form with a label, a hint and an error at each field; and a last look before yes."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any, Literal, TypeVar

from fastapi import Request
from pydantic import BaseModel
from starlette.responses import RedirectResponse, Response

from shared.errors import ERROR_KINDS
from vendor_api.admin.refusals import change
from vendor_api.dashboard.forms import EMPTY, Filled, refill
from vendor_api.dashboard.page import HEADERS, render
from vendor_api.dashboard.visitors import Visitor
from vendor_api.dependencies import Shop
from vendor_api.errors import VendorError
from vendor_api.ledger.jobs import Work

CONFIRMED = "confirmed"
"""The form field by which a last look says yes."""

O = TypeVar("O", bound=BaseModel)  # noqa: E741

__all__ = [
    "CONFIRMED",
    "Confirmation",
    "Entry",
    "Form",
    "carry_out",
    "show_confirmation",
    "show_form",
    "show_refusal",
]


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that a form asks for."""

    name: str
    label: str
    hint: str = ""
    kind: Literal["text", "choice", "ticks"] = "text"
    options: Sequence[tuple[str, str]] = ()
    """What is sent and what is read, of a choice or of ticks."""
    required: bool = False
    digits: bool = False
    """A telephone's keyboard shows digits."""
    group: str = ""
    """The title of the part of the form that it stands in, closed unless something is in it."""


@dataclass(frozen=True, slots=True)
class Form:
    """A page with one form."""

    title: str
    action: str
    """Where it is sent."""
    submit: str
    back: str
    """Where to go instead."""
    entries: Sequence[Entry] = ()
    intro: Sequence[str] = ()
    danger: bool = False
    """It takes something away."""

    @property
    def groups(self) -> list[tuple[str, list[Entry]]]:
        """The entries by the groups that they stand in, in order."""
        return [(name, [*each]) for name, each in groupby(self.entries, lambda entry: entry.group)]


@dataclass(frozen=True, slots=True)
class Confirmation:
    """A page that shows what will happen, and one button that lets it."""

    title: str
    action: str
    submit: str
    back: str
    facts: Sequence[tuple[str, str]]
    """What it is, and how much or whose."""
    sent: Mapping[str, str | list[str]] = field(default_factory=dict)
    """What the form said, to be sent again with the yes."""
    notes: Sequence[str] = ()
    document: Any = None
    """What the JSON twin says beside the facts."""
    danger: bool = False
    """It takes something away."""


async def show_form(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    form: Form,
    filled: Filled[Any] = EMPTY,
    *,
    status: int | None = None,
) -> Response:
    """The form with what was typed; 400 when something about it is wrong, unless said."""
    chosen = status or (400 if filled.errors else 200)
    document = {"title": form.title, "typed": dict(filled.typed), "errors": dict(filled.errors)}
    return await render(
        request,
        shop,
        "form_page.html",
        visitor=visitor,
        status=chosen,
        document=document,
        form=form,
        filled=filled,
    )


async def show_refusal(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    form: Form,
    filled: Filled[Any],
    error: VendorError,
) -> Response:
    """The form again with what the ledger refused; nothing has changed."""
    kind = ERROR_KINDS[error.code]
    return await show_form(request, shop, visitor, form, refill(filled, error), status=kind.status)


async def carry_out(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    form: Form,
    filled: Filled[O],
    plan: Callable[[O], Work[object]],
    place: str,
) -> Response:
    """Do what the form asks for and go to `place`; or show the form with what is wrong about it."""
    if filled.order is None:
        return await show_form(request, shop, visitor, form, filled)
    try:
        await change(shop, "", plan(filled.order))
    except VendorError as error:
        return await show_refusal(request, shop, visitor, form, filled, error)
    return RedirectResponse(place, 303, HEADERS)


async def show_confirmation(
    request: Request,
    shop: Shop,
    visitor: Visitor,
    asked: Confirmation,
    *,
    template: str = "confirm_page.html",
    **context: Any,
) -> Response:
    """The last look; nothing has changed yet."""
    document: dict[str, Any] = {
        "title": asked.title,
        "facts": dict(asked.facts),
        "notes": list(asked.notes),
    }
    if asked.document is not None:
        document["detail"] = asked.document
    return await render(
        request,
        shop,
        template,
        visitor=visitor,
        document=document,
        asked=asked,
        confirmed=CONFIRMED,
        **context,
    )
