"""When an alert is raised: the part of the vendor's settings that says so."""

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings

from shared.money import parse_usd

__all__ = ["Thresholds"]


class Thresholds(BaseSettings):
    """`VENDOR_ALERT_*`: from where on somebody should look."""

    alert_seconds: float = Field(default=15.0, gt=0)
    """How often a server looks."""
    alert_low_balance_usd: str = "1.00"
    """An account that bought something this week and has less than this left."""
    alert_runway_days: int = Field(default=3, ge=0, le=3650)
    """An account that bought something this week and whose runway is fewer days; 0: never."""
    alert_cap_percent: int = Field(default=100, ge=1, le=100)
    """How much of a key's cap is used."""
    alert_audit_age_s: float = Field(default=900.0, gt=0)
    """How long ago the books may have been checked last."""
    alert_error_percent: float = Field(default=5.0, ge=0, le=100)
    """The share of 5xx answers to customers in five minutes."""
    alert_error_answers: int = Field(default=20, ge=1)
    """Fewer answers than this in five minutes say nothing about a share."""
    alert_disk_free_bytes: int = Field(default=1024**3, ge=0)
    """Bytes left beside a SQLite file."""
    alert_stuck_hold_s: float = Field(default=60.0, ge=0)
    """How long after its end a hold may still be there; the sweeper comes every five seconds."""

    @field_validator("alert_low_balance_usd")
    @classmethod
    def _check_amount(cls, value: str) -> str:
        parse_usd(value)
        return value

    @property
    def low_balance_nanousd(self) -> int:
        """`alert_low_balance_usd`, exactly."""
        return parse_usd(self.alert_low_balance_usd)
