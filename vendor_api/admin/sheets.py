"""Rows as files for other programs: CSV that no spreadsheet runs, or one JSON object a line."""

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import IO, Literal

import orjson

from shared.cells import escape_cell

Form = Literal["csv", "ndjson"]
Cell = str | int | None

__all__ = ["Form", "write_rows"]


def write_rows(
    rows: Iterable[Mapping[str, Cell]], columns: Sequence[str], form: Form, file: IO[bytes]
) -> int:
    """Write the rows, one by one as they come; returns how many. CSV begins with the columns' names."""
    return _write_csv(rows, columns, file) if form == "csv" else _write_ndjson(rows, file)


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
