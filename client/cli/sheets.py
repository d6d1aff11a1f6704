"""Rows as CSV for spreadsheets and as one JSON document a line, written as they come."""

import csv
import json
import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

_COMMANDING = ("=", "+", "-", "@", "\t", "\r")
_PLAIN_NUMBER = re.compile(r"[+-]?[0-9]+(\.[0-9]+)?", re.ASCII)

__all__ = ["print_csv", "print_lines"]


def print_lines(rows: Iterable[Mapping[str, Any]]) -> None:
    """One JSON document a line (NDJSON) on stdout."""
    for row in rows:
        sys.stdout.write(json.dumps(row, ensure_ascii=False) + "\n")


def print_csv(columns: Iterable[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """CSV with a heading on stdout; a text that a spreadsheet would run as a formula is quoted."""
    names = list(columns)
    out = csv.writer(sys.stdout, lineterminator="\n")
    out.writerow(names)
    for row in rows:
        out.writerow([_escape(row[name]) for name in names])


def _escape(cell: Any) -> Any:
    if isinstance(cell, str) and cell.startswith(_COMMANDING) and not _PLAIN_NUMBER.fullmatch(cell):
        return f"'{cell}"
    return cell
