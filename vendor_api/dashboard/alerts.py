"""What every page warns of, at its top."""

from dataclasses import dataclass
from typing import Literal

from vendor_api.dependencies import Shop

__all__ = ["Alert", "find_alerts"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing that somebody should look at."""

    name: str
    severity: Literal["warning", "critical"]
    summary: str
    link: str


async def find_alerts(_shop: Shop) -> list[Alert]:
    """What is wrong now, the worst first."""
    return []
