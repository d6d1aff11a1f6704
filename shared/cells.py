"""Table cells that no spreadsheet runs as a formula."""

import re
from typing import TypeVar

_COMMANDING = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)

Cell = TypeVar("Cell")

__all__ = ["escape_cell"]


def escape_cell(cell: Cell) -> Cell | str:
    """The cell, with an apostrophe before what a spreadsheet would take for a formula."""
    if isinstance(cell, str) and cell.startswith(_COMMANDING) and not _PLAIN_NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
