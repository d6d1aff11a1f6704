"""Under which licences the pictures of a data folder stand, where it says so."""

import json
from collections import Counter
from collections.abc import Collection
from pathlib import Path

from client.data.groups import GROUPS_FILE

UNKNOWN = "unknown"

__all__ = ["UNKNOWN", "count_licences"]


def count_licences(root: Path, paths: Collection[str]) -> Counter[str]:
    """Licence → pictures, of these paths, by the `licence` of each line in DATA/manifest.jsonl.

    A picture that the file does not name, or names without a licence, counts as unknown. Scanning the
    folder, which comes first, has made sure that each line is an object with a path.
    """
    known = {}
    file = root / GROUPS_FILE
    if file.is_file():
        rows = map(json.loads, filter(str.strip, file.read_text(encoding="utf-8").splitlines()))
        known = {row["path"]: str(row.get("licence") or UNKNOWN) for row in rows}
    return Counter(known.get(path, UNKNOWN) for path in paths)
