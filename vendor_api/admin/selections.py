"""Which rows of a listing an operator wants: filters, a span of time, a page."""

from typing import Annotated

from pydantic import Field

from shared.headers import MAX_IDEMPOTENCY_KEY
from shared.wire import ChargeState
from vendor_api.admin.books import ChargeFilter, Span
from vendor_api.admin.fields import Instant
from vendor_api.admin.orders import Order

MAX_PAGE = 1000

__all__ = ["ActionPage", "ChargePage", "ModelSelection", "Page", "SpanPage", "SpanSelection"]

_Account = Annotated[str | None, Field(pattern=r"^acct_[0-9A-Za-z]{1,40}$")]
_Word = Annotated[str | None, Field(pattern=r"^[\x21-\x7e]{1,200}$")]


class Page(Order):
    """So many rows from behind the row `after`, the last one of the page before."""

    limit: int = Field(default=100, ge=1, le=MAX_PAGE)
    after: Annotated[str | None, Field(pattern=r"^[\x21-\x7e]{1,400}$")] = None


class SpanSelection(Order):
    """Of one account or all, between two instants: `since` included, `until` not."""

    account: _Account = None
    since: Instant | None = None
    until: Instant | None = None

    @property
    def span(self) -> Span:
        """The same for the books."""
        return Span(self.account, self.since, self.until)


class SpanPage(Page, SpanSelection):
    """A page of a span."""


class ChargePage(SpanPage):
    """A page of charges, by when they were asked for."""

    state: ChargeState | None = None
    request_id: _Word = None
    idempotency_key: Annotated[
        str | None, Field(pattern=rf"^[\x21-\x7e]{{1,{MAX_IDEMPOTENCY_KEY}}}$")
    ] = None

    @property
    def filter(self) -> ChargeFilter:
        """The same for the books."""
        return ChargeFilter(self.span, self.state, self.request_id, self.idempotency_key)


class ActionPage(Page):
    """A page of the audit log."""

    actor: _Word = None
    subject: _Word = None


class ModelSelection(Order):
    """Of one model or all."""

    model: _Word = None
