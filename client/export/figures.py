"""Figures as self-contained images that follow the reader's light or dark page."""

import base64
import io
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from matplotlib import rc_context
from matplotlib.figure import Figure
from PIL import Image

INK, GRID = "#1f2937", "#d8dce3"
"""Drawn so, and exchanged for the page's own in the dark."""
DARK_INK, DARK_GRID = "#e6e8ec", "#3a414d"
COLOURS = (
    "#2f6fc4",
    "#d1741f",
    "#2f8f5b",
    "#9457ad",
    "#7b828f",
    "#cb4450",
    "#a98112",
    "#1f8f9a",
)
"""Readable on light and on dark."""
MARKS = ("o", "s", "^", "D", "v", "P", "X", "*")
THUMBNAIL = 72
"""Pixels a side."""

__all__ = [
    "COLOURS",
    "GRID",
    "INK",
    "MARKS",
    "Picture",
    "drawing",
    "make_svg",
    "make_thumbnail",
    "tidy",
]

_STYLE = {
    "text.color": INK,
    "axes.edgecolor": INK,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "xtick.color": INK,
    "ytick.color": INK,
    "grid.color": GRID,
    "font.size": 10,
    "axes.titlesize": 10,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
    # A class may be called `$` or `_`.
    "text.parse_math": False,
    # The same results give the same file.
    "svg.hashsalt": "vl2v",
}


@dataclass(frozen=True, slots=True)
class Picture:
    """An image for an `<img>`: a data URI and its alternative text."""

    uri: str
    alt: str


@contextmanager
def drawing(width: float, height: float) -> Iterator[Any]:
    """A figure of so many inches in the page's style."""
    with rc_context(_STYLE):
        yield Figure(figsize=(width, height), layout="constrained")


def make_svg(figure: Any, alt: str) -> Picture:
    """The figure as it stands; call it inside `drawing`."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    text = out.getvalue().replace(INK, "var(--ink)").replace(GRID, "var(--grid)")
    theme = (
        f":root{{--ink:{INK};--grid:{GRID}}}@media screen and (prefers-color-scheme:dark)"
        f"{{:root{{--ink:{DARK_INK};--grid:{DARK_GRID}}}}}"
    )
    text = text.replace("*{stroke-linejoin", f"{theme}*{{stroke-linejoin", 1)
    return Picture(_uri("image/svg+xml", text.encode()), alt)


def make_thumbnail(file: Path, alt: str) -> Picture | None:
    """A small PNG of an image file; None when it cannot be read any more."""
    try:
        with Image.open(file) as image:
            small = image.convert("RGB")
    except OSError:
        return None
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    out = io.BytesIO()
    small.save(out, "PNG", optimize=True)
    return Picture(_uri("image/png", out.getvalue()), alt)


def tidy(axes: Any, grid: str = "y") -> None:
    """No box around the plot, a quiet grid behind it."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, linewidth=0.8)
    axes.set_axisbelow(True)


def _uri(kind: str, data: bytes) -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode('ascii')}"
