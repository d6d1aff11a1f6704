"""A CSV of paths as a source of pictures: `path[,class][,domain]`, one picture a row."""

import csv
import os
import unicodedata
from collections.abc import Iterator
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from pathlib import Path

from client.data.manifest import DataError, Found

EXAMPLE = "path,class,domain"

__all__ = ["Listing", "read_rows"]


@dataclass(frozen=True, slots=True)
class Listing:
    """Pictures named in a CSV with a header; relative paths start at the CSV's folder.

    Without a column `domain` all are of one domain, named after the file; without `class` they have
    none, and can be bought but not trained on.
    """

    data: Path
    """The CSV; absolute."""

    @property
    def root(self) -> Path:
        """The folder that it lies in."""
        return self.data.parent

    def find(self) -> Iterator[Found]:
        """Each row's picture. Raises DataError for a row without what its columns promise."""
        for number, row in read_rows(self.data, ("path",)):
            path = self._require(row, "path", number)
            if not os.path.lexists(self.root / path):
                raise DataError(
                    f"{self.data}, row {number}: {path} is not there: correct the path or remove the "
                    f"row (relative paths start at {self.root})"
                )
            domain = self._require(row, "domain", number) if "domain" in row else self.data.stem
            label = self._require(row, "class", number) if "class" in row else ""
            yield Found(path, *(unicodedata.normalize("NFC", name) for name in (domain, label)))

    def require(self, filled: AbstractSet[tuple[str, str]]) -> None:
        """Raises DataError when no row names a readable picture."""
        if not filled:
            raise DataError(f"{self.data} names no readable picture: add rows like photo/dog/1.png")

    def _require(self, row: dict[str, str], column: str, number: int) -> str:
        if row[column]:
            return row[column]
        raise DataError(f"{self.data}, row {number} has no {column}: fill it in or remove the row")


def read_rows(file: Path, columns: tuple[str, ...]) -> Iterator[tuple[int, dict[str, str]]]:
    """(row number, column → text) of each row, as a spreadsheet counts them: the header is row 1.

    Raises DataError for a file that is no such CSV, and for a missing column.
    """
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            rows = csv.reader(lines, strict=True)
            header = [name.strip().lower() for name in next(rows, [])]
            _check_header(file, header, columns)
            for number, cells in enumerate(rows, start=2):
                if cells:
                    yield number, _fill(file, number, header, cells)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(
            f"{file} cannot be read as CSV ({error}): save it as UTF-8 with a header like {EXAMPLE}"
        ) from error


def _check_header(file: Path, header: list[str], columns: tuple[str, ...]) -> None:
    for column in columns:
        if column not in header:
            raise DataError(
                f"{file}, row 1 has no column {column}: begin the file with a header like {EXAMPLE}"
            )
    for column in header:
        if header.count(column) > 1:
            raise DataError(f"{file}, row 1 names the column {column!r} twice: rename one of them")


def _fill(file: Path, number: int, header: list[str], cells: list[str]) -> dict[str, str]:
    if len(cells) != len(header):
        raise DataError(
            f"{file}, row {number} has {len(cells)} cells, the header {len(header)}: quote a path "
            "that holds a comma"
        )
    return {name: cell.strip() for name, cell in zip(header, cells, strict=True)}
