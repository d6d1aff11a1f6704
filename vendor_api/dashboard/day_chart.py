"""An account's days as the browser's chart takes them: seconds, items, and dollars digit by digit."""

from collections.abc import Sequence

import orjson
from starlette.responses import Response

from shared.money import format_usd
from vendor_api.dashboard.account_view import DayRow
from vendor_api.dashboard.page import write_json
from vendor_api.db.clock import SECOND

__all__ = ["draw_days"]


def draw_days(days: Sequence[DayRow]) -> Response:
    """Items and dollars charged a day."""
    # No float rounds the dollars on the way.
    dollars = [orjson.Fragment(format_usd(day.cost_nanousd).encode()) for day in days]
    series = [
        {"label": "Cost", "unit": "USD", "values": dollars},
        {"label": "Charged", "unit": "items", "values": [day.items for day in days]},
    ]
    document = {"x": [day.at // SECOND for day in days], "series": series}
    return write_json(document)
