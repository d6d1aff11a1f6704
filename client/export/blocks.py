"""What a page is made of: sections of text, tables, figures and galleries."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from client.export.figures import Picture

__all__ = ["Block", "Figure", "Gallery", "Item", "Section", "Table", "Text"]

Cells = Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Text:
    """A paragraph."""

    kind: ClassVar[str] = "text"
    text: str
    soft: bool = False
    """Set apart, for how a thing was measured."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows under a header, read aloud with its caption."""

    kind: ClassVar[str] = "table"
    caption: str
    header: Sequence[str]
    rows: Cells

    def is_text(self, column: int) -> bool:
        """Whether a column holds words and goes to the left."""
        return column == 0 or any(_is_word(row[column]) for row in self.rows)


@dataclass(frozen=True, slots=True)
class Figure:
    """An image, what it shows, and its numbers for those who cannot see it."""

    kind: ClassVar[str] = "figure"
    picture: Picture
    caption: str
    numbers: Table | None = None
    unfolded: bool = False
    """Whether the numbers show at once."""


@dataclass(frozen=True, slots=True)
class Item:
    """Pictures with what was said about them."""

    pictures: Sequence[Picture]
    said: str
    right: bool
    detail: str


@dataclass(frozen=True, slots=True)
class Gallery:
    """Items side by side."""

    kind: ClassVar[str] = "gallery"
    items: Sequence[Item]
    caption: str


Block = Text | Table | Figure | Gallery


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and what stands under it; level 2 or 3."""

    title: str
    blocks: Sequence[Block]
    level: int = 2


def _is_word(cell: str) -> bool:
    return any(letter.isalpha() for letter in cell.replace("±", "").replace("to", ""))
