"""What operators send: JSON with amounts as strings; a member that nobody named is refused."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from shared.wire import Modality
from vendor_api.admin.fields import (
    CostUsd,
    Count,
    CreditUsd,
    Duration,
    Instant,
    Label,
    LimitUsd,
    ModelId,
    Name,
    PriceUsd,
    Reason,
    SignedUsd,
)
from vendor_api.auth.repository import KeyLimits, KeySettings
from vendor_api.ledger.commands import CapKind, CapWindow


class Order(BaseModel):
    """Base of every request: a member that is not named here is refused, whatever it would set."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class AccountOrder(Order):
    """Open an account."""

    name: Name
    credit_limit_usd: LimitUsd = 0


class AccountChange(Order):
    """Change what an account may owe."""

    credit_limit_usd: LimitUsd


class StatusOrder(Order):
    """Why an account is frozen, or let go on."""

    reason: Reason


class SpaceOrder(Order):
    """Answer an account in its private space, in everybody's, or in a private one that is new."""

    space: Literal["on", "off", "new"]


class CloseOrder(Order):
    """End an account for ever; `refund_external_ref` names the payment that gives its rest back."""

    reason: Reason
    refund_external_ref: Label | None = None


class CreditOrder(Order):
    """Pay money in, or give it away; once for each kind and reference."""

    amount_usd: CreditUsd
    external_ref: Label
    kind: Literal["credit", "promo"] = "credit"
    expires_at: Instant | None = None
    reason: Reason | None = None


class AdjustmentOrder(Order):
    """Correct a balance, up or down; once for each reference."""

    amount_usd: SignedUsd
    external_ref: Label
    reason: Reason


class RefundOrder(Order):
    """Give back what a charge cost, all that is left of it unless said; once for each reference."""

    amount_usd: CreditUsd | None = None
    external_ref: Label
    reason: Reason


class LimitsOrder(Order):
    """How fast a key may ask; what is absent or null is as fast as the vendor's settings allow."""

    requests_per_minute: Count | None = None
    items_per_minute: Count | None = None
    bytes_per_minute: Count | None = None
    concurrency: Count | None = None

    @property
    def limits(self) -> KeyLimits:
        """The same for the key."""
        return KeyLimits(
            requests_per_minute=self.requests_per_minute,
            items_per_minute=self.items_per_minute,
            bytes_per_minute=self.bytes_per_minute,
            concurrency=self.concurrency,
        )


class CapsOrder(Order):
    """All caps of a key; what is absent or null is not capped."""

    items_per_day: Count | None = None
    items_per_month: Count | None = None
    items_ever: Count | None = None
    spend_per_day_usd: CostUsd | None = None
    spend_per_month_usd: CostUsd | None = None
    spend_ever_usd: CostUsd | None = None

    @property
    def caps(self) -> dict[tuple[CapKind, CapWindow], int | None]:
        """Every cap there can be; None takes it away."""
        return {
            ("items", "day"): self.items_per_day,
            ("items", "month"): self.items_per_month,
            ("items", "ever"): self.items_ever,
            ("spend", "day"): self.spend_per_day_usd,
            ("spend", "month"): self.spend_per_month_usd,
            ("spend", "ever"): self.spend_ever_usd,
        }


class KeyOrder(LimitsOrder):
    """Issue a key."""

    name: Name | None = None
    scopes: list[Literal["embed", "read"]] = Field(default=["embed", "read"], min_length=1)
    expires_at: Instant | None = None
    models: list[ModelId] | None = Field(default=None, min_length=1, max_length=100)

    @property
    def settings(self) -> KeySettings:
        """The same for the key."""
        return KeySettings(
            name=self.name or "",
            scopes=self.scopes,
            expires_at=self.expires_at,
            models=self.models,
            limits=self.limits,
        )


class RotationOrder(Order):
    """Replace a key; the old one goes on for so long."""

    overlap: Duration = 0


class PriceOrder(Order):
    """Sell a model at these prices, from now on or from a later instant."""

    model: ModelId
    image_usd: PriceUsd | None = None
    text_usd: PriceUsd | None = None
    valid_from: Instant | None = None

    @property
    def units(self) -> dict[Modality, int]:
        """Nano-dollars by modality, those that were named."""
        asked: dict[Modality, int | None] = {"image": self.image_usd, "text": self.text_usd}
        return {modality: unit for modality, unit in asked.items() if unit is not None}


class ThresholdOrder(Order):
    """Warn while an account has less than this available; without an amount never."""

    threshold_usd: CostUsd | None = None
