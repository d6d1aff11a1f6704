"""What the user says about a teacher that does not say it itself: its price, its logit scale."""

from dataclasses import dataclass

from client.cache.documents import TeacherDocument
from client.errors import UsageError
from shared.money import format_usd, parse_usd
from shared.wire import Modality

__all__ = ["NO_TERMS", "Terms", "price_of", "refuse_terms"]


@dataclass(frozen=True, slots=True)
class Terms:
    """None leaves what was said the last time, at first nothing."""

    item_price_nanousd: int | None = None
    """What one item costs the user, whoever is paid; the journal and budgets count it."""
    logit_scale: float | None = None
    """Multiplies cosines before a softmax."""

    def apply(self, document: TeacherDocument, before: TeacherDocument | None) -> TeacherDocument:
        """The document under these terms, or under those of the document `before` it."""
        old = before or document
        price = (
            old.price_per_image_usd
            if self.item_price_nanousd is None
            else format_usd(self.item_price_nanousd)
        )
        scale = {"logit_scale": old.logit_scale, "scale_known": old.scale_known}
        if self.logit_scale is not None:
            scale = {"logit_scale": self.logit_scale, "scale_known": True}
        prices = {"price_per_image_usd": price, "price_per_text_usd": price}
        return document.model_copy(update=prices | scale)


NO_TERMS = Terms()


def price_of(document: TeacherDocument, modality: Modality) -> int:
    """Nano-dollars of one item."""
    image = modality == "image"
    return parse_usd(document.price_per_image_usd if image else document.price_per_text_usd)


def refuse_terms(terms: Terms) -> None:
    """Raises UsageError for terms that the vendor sets."""
    if terms.item_price_nanousd is not None:
        raise UsageError("--item-price: the vendor sets its own prices; leave it out")
    if terms.logit_scale is not None:
        raise UsageError("--logit-scale: the vendor publishes its own; leave it out")
