"""`DATA/manifest.jsonl`: which pictures show the same drawing or come from one source."""

import json
from pathlib import Path
from typing import Any

from client.data.manifest import DataError

GROUPS_FILE = "manifest.jsonl"

__all__ = ["GROUPS_FILE", "load_groups"]


def load_groups(root: Path) -> dict[str, str]:
    """Path → group of the lines that name both; empty without the file.

    Raises DataError for a line that is not a JSON object with a text `path`.
    """
    file = root / GROUPS_FILE
    if not file.is_file():
        return {}
    groups: dict[str, str] = {}
    with file.open(encoding="utf-8", errors="strict") as lines:
        try:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    _add(groups, _parse(file, number, line))
        except UnicodeDecodeError as error:
            raise DataError(f"{file} is not UTF-8: save it as UTF-8 or remove it") from error
    return groups


def _parse(file: Path, number: int, line: str) -> dict[str, Any]:
    try:
        row = json.loads(line)
    except ValueError:
        row = None
    if not isinstance(row, dict) or not isinstance(row.get("path"), str):
        raise DataError(
            f'{file}, line {number} is not an object like {{"path": "photo/dog/1.png", '
            '"group": "dog-1"}: correct the line or remove the file'
        )
    return row


def _add(groups: dict[str, str], row: dict[str, Any]) -> None:
    if row.get("group") is not None:
        groups[row["path"]] = str(row["group"])
