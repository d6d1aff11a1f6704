"""Tables as text and files: Markdown, CSV, written whole or not at all."""

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path

from shared.cells import escape_cell

__all__ = ["format_csv", "format_markdown", "write_text"]


def format_markdown(header: Sequence[str], cells: Iterable[Sequence[str]]) -> str:
    """A Markdown table, with a line between header and rows."""
    lines = [header, ["---"] * len(header), *cells]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)


def format_csv(rows: Iterable[Sequence[object]]) -> str:
    """CSV text; a cell that a spreadsheet would run as a formula gets a quote in front."""
    out = io.StringIO()
    csv.writer(out).writerows([escape_cell(cell) for cell in row] for row in rows)
    return out.getvalue()


def write_text(file: Path, text: str) -> None:
    """Write beside the file's place, then rename; its folder is made."""
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.partial")
    partial.write_text(text, encoding="utf-8")
    partial.replace(file)
