"""Rows as CSV for spreadsheets and as one JSON document a line, written as they come."""

import csv
import json
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from shared.cells import escape_cell

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
        out.writerow([escape_cell(row[name]) for name in names])
