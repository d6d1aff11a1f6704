"""What the form about prices asks for."""

from collections.abc import Sequence

from pydantic import Field

from vendor_api.admin.orders import PriceOrder
from vendor_api.dashboard.form_pages import Entry
from vendor_api.dashboard.whatif import MAX_DAYS

__all__ = ["Supposition", "list_entries"]

_DOLLARS = "US dollars an item, like 0.0001. Empty: as it is."


class Supposition(PriceOrder):
    """Prices of a model, and over how many days to try them."""

    days: int = Field(default=30, strict=True, ge=1, le=MAX_DAYS)


def list_entries(models: Sequence[str]) -> list[Entry]:
    """The form's fields; `models` are those that there are."""
    return [
        Entry("model", "Model", kind="choice", options=[(each, each) for each in models]),
        Entry("image_usd", "An image", _DOLLARS, digits=True),
        Entry("text_usd", "A text", _DOLLARS, digits=True),
        Entry(
            "valid_from",
            "From",
            "Empty: at once. A date like 2027-01-31, its first instant in UTC, "
            "or 2027-01-31T12:00:00Z.",
        ),
        Entry(
            "days",
            "Tried on the last days",
            f"Whole days of UTC, today included, at most {MAX_DAYS}.",
            required=True,
            digits=True,
        ),
    ]
