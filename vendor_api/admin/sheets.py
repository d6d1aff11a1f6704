"""Rows as files for other programs: CSV that no spreadsheet runs, or one JSON object a line."""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Literal

import orjson

Form = Literal["csv", "ndjson"]
Cell = str | int | None

_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)
_COMMANDING = ("=", "+", "-", "@", "\t", "\r")

__all__ = ["Form", "escape_cell", "write_rows"]


def write_rows(
    rows: Iterable[Mapping[str, Cell]], columns: Sequence[str], form: Form, file: IO[bytes]
) -> int:
    """Write the rows, one by one as they come; returns how many. CSV begins with the columns' names."""
    return _write_csv(rows, columns, file) if form == "csv" else _write_ndjson(rows, file)


def escape_cell(cell: Cell) -> Cell:
    """The cell, with an apostrophe before what a spreadsheet would take for a formula."""
    if isinstance(cell, str) and cell.startswith(_COMMANDING) and not _PLAIN_NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell


def _write_csv(rows: Iterable[Mapping[str, Cell]], columns: Sequence[str], file: IO[bytes]) -> int:
    text = io.TextIOWrapper(file, "utf-8", newline="")
    writer, count = csv.writer(text), 0
    writer.writerow(columns)
    for row in rows:
        writer.writerow([escape_cell(row[column]) for column in columns])
        count += 1
    text.detach()
    return count


def _write_ndjson(rows: Iterable[Mapping[str, Cell]], file: IO[bytes]) -> int:
    count = 0
    for row in rows:
        plain = {str(name): cell for name, cell in row.items()}  # not SQLAlchemy's kind of str
        file.write(orjson.dumps(plain) + b"\n")
        count += 1
    return count
