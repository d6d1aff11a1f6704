"""Icon outlines to pixels: reads a package's `icons.json` and renders single icons as PNG."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

INK = "#222222"
"""What `currentColor` is drawn in, for sets that leave the colour to the page."""
PAPER = "#ffffff"


@dataclass(frozen=True, slots=True)
class Icon:
    """One drawing: where it comes from, its name and its SVG body."""

    icon_set: str
    name: str
    body: str
    left: float
    top: float
    width: float
    height: float

    @property
    def svg(self) -> str:
        """A complete square SVG document, the drawing centred in it, every colour decided."""
        side = max(self.width, self.height)
        box = f"{self.left:g} {self.top:g} {self.width:g} {self.height:g}"
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{box}" width="{side:g}" height="{side:g}">'
            f"{self.body.replace('currentColor', INK)}</svg>"
        )


def read_icons(package_dir: Path) -> Iterator[Icon]:
    """Every visible drawing of one installed icon package, in the file's order."""
    document = json.loads((package_dir / "icons.json").read_text(encoding="utf-8"))
    size = {"width": document.get("width", 16), "height": document.get("height", 16)}
    for name, entry in document["icons"].items():
        if not entry.get("hidden"):
            yield Icon(
                icon_set=document["prefix"],
                name=name,
                body=entry["body"],
                left=entry.get("left", document.get("left", 0)),
                top=entry.get("top", document.get("top", 0)),
                width=entry.get("width", size["width"]),
                height=entry.get("height", size["height"]),
            )


def render_png(icon: Icon, side: int) -> bytes:
    """The icon as PNG bytes of `side` × `side` pixels, on white.

    Raises ImportError naming the extra when resvg-py is absent, ValueError for a body that resvg refuses.
    """
    try:
        import resvg_py
    except ImportError as error:
        raise ImportError("rendering icons needs resvg-py: pip install 'vl2v[demo]'") from error
    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=icon.svg,
            width=side,
            height=side,
            background=PAPER,
            skip_system_fonts=True,
        )
    )
