"""Figures as the browser's charts take them: seconds, and a value of each series for each of them."""

from collections.abc import Callable, Iterable

import orjson
from starlette.responses import Response

from shared.money import format_usd
from vendor_api.dashboard.page import HEADERS
from vendor_api.db.clock import SECOND

Point = tuple[int, str, int]
"""An instant in microseconds, the series' name, its value there."""

__all__ = ["Point", "draw_counts", "draw_money"]


def draw_money(points: Iterable[Point]) -> Response:
    """Nano-dollars as dollars, digit by digit: no float rounds them on the way."""
    return _draw(points, "USD", lambda nanousd: orjson.Fragment(format_usd(nanousd).encode()))


def draw_counts(points: Iterable[Point], unit: str) -> Response:
    """Whole numbers."""
    return _draw(points, unit, lambda count: count)


def _draw(points: Iterable[Point], unit: str, write: Callable[[int], object]) -> Response:
    found = list(points)
    values = {(at, name): value for at, name, value in found}
    instants = sorted({at for at, _, _ in found})
    series = [
        {
            "label": name,
            "unit": unit,
            "values": [write(values.get((at, name), 0)) for at in instants],
        }
        for name in sorted({name for _, name, _ in found})
    ]
    document = {"x": [at // SECOND for at in instants], "series": series}
    return Response(orjson.dumps(document), headers=HEADERS, media_type="application/json")
