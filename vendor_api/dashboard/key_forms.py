"""What the forms about keys ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal

from pydantic import Field

from shared.money import format_usd
from vendor_api.admin.fields import Name
from vendor_api.admin.orders import CapsOrder, KeyOrder
from vendor_api.dashboard.form_pages import Entry, Form
from vendor_api.dashboard.key_list import KeyRow

LIMIT_NAMES = ("requests_per_minute", "items_per_minute", "bytes_per_minute", "concurrency")
ITEM_CAPS = ("items_per_day", "items_per_month", "items_ever")

__all__ = [
    "CAPS",
    "ITEM_CAPS",
    "LIMITS",
    "LIMIT_NAMES",
    "ROTATION",
    "NewKey",
    "fill_caps",
    "fill_limits",
    "make_key_form",
    "place_key_form",
]


class NewKey(KeyOrder, CapsOrder):
    """Issue a key to an account, with its caps."""

    account: Name
    """Its id or name."""
    scopes: list[Literal["embed", "read"]] = Field(min_length=1)


def _limit(name: str, label: str) -> Entry:
    return Entry(name, label, "Empty: as fast as the vendor's settings let every key.", digits=True)


def _cap(name: str, label: str, hint: str) -> Entry:
    return Entry(name, label, f"Empty: not capped. {hint}", digits=True)


_LIMIT_ENTRIES = (
    _limit("requests_per_minute", "Requests a minute"),
    _limit("items_per_minute", "Items a minute"),
    _limit("bytes_per_minute", "Bytes a minute"),
    _limit("concurrency", "Requests under way at once"),
)
_CAP_ENTRIES = (
    _cap("items_per_day", "Items a day", "Days and months are of UTC."),
    _cap("items_per_month", "Items a month", ""),
    _cap("items_ever", "Items for ever", ""),
    _cap("spend_per_day_usd", "Dollars a day", "Like 2.50."),
    _cap("spend_per_month_usd", "Dollars a month", "Like 2.50."),
    _cap("spend_ever_usd", "Dollars for ever", "Like 2.50."),
)
LIMITS = Form("Change the limits", "limits", "Change the limits", "", _LIMIT_ENTRIES)
CAPS = Form(
    "Change the caps",
    "caps",
    "Change the caps",
    "",
    _CAP_ENTRIES,
    intro=("A cap counts what the key asks for while it has the cap. What is held stays held.",),
)
ROTATION = Form(
    "Rotate",
    "rotate",
    "Replace the key",
    "",
    (
        Entry(
            "overlap",
            "The old key goes on for",
            "Like 30m, 24h or 7d. Empty: it ends at once.",
        ),
    ),
    intro=(
        "A new key with the same settings and caps. Its text is shown once, on the next page.",
        "A cap for ever becomes what is left of it; a day's or a month's cap counts anew.",
    ),
)


def make_key_form(models: Sequence[str]) -> Form:
    """The form that creates a key; `models` are those that there are."""
    return Form(
        title="Create a key",
        action="/dashboard/keys",
        submit="Create the key",
        back="/dashboard/keys",
        entries=(
            Entry("account", "Account", "Its id or name.", required=True),
            Entry("name", "Name of the key", "For people, like: training server."),
            Entry(
                "scopes",
                "What it may do",
                kind="ticks",
                options=(
                    ("embed", "embed: buy embeddings"),
                    ("read", "read: see the account's books"),
                ),
            ),
            Entry(
                "models",
                "Models it may buy from",
                "None ticked: all, and those to come.",
                kind="ticks",
                options=[(model, model) for model in models],
            ),
            Entry(
                "expires_at",
                "Expires",
                "Empty: never. A date like 2027-01-31, its first instant in UTC.",
            ),
            *(replace(entry, group="Caps") for entry in _CAP_ENTRIES),
            *(replace(entry, group="Limits") for entry in _LIMIT_ENTRIES),
        ),
        intro=("The key's text is shown once, on the next page, and never again.",),
    )


def place_key_form(form: Form, key: KeyRow) -> Form:
    """The form for this key."""
    page = f"/dashboard/keys/{key.id}"
    title = f"{form.title}: {key.name or key.id}"
    return replace(form, title=title, action=f"{page}/{form.action}", back=page)


def fill_limits(key: KeyRow) -> Mapping[str, str]:
    """The key's limits as its form shows them."""
    return {name: "" if limit is None else str(limit) for name, limit in key.limits.items()}


def fill_caps(key: KeyRow) -> Mapping[str, str]:
    """The key's caps as their form shows them."""
    shown = {}
    for cap in key.caps:
        place = cap.window if cap.window == "ever" else f"per_{cap.window}"
        if cap.kind == "spend":
            shown[f"spend_{place}_usd"] = format_usd(cap.cap)
        else:
            shown[f"items_{place}"] = str(cap.cap)
    return shown
