"""Fails when the code that touches money or paid results is not covered branch by branch."""

import io
import json
import sys
import tempfile
from pathlib import Path

from coverage import Coverage

FLOOR = 90.0
"""Per cent of branches."""
GUARDED = ("vendor_api/ledger", "vendor_api/metering", "client/cache", "client/budget")
ROOT = Path(__file__).parent.parent


def measure_branches() -> dict[str, tuple[int, int]]:
    """Guarded folder → (branches taken, branches there), from the last `make test`."""
    coverage = Coverage(data_file=str(ROOT / ".coverage"), config_file=str(ROOT / "pyproject.toml"))
    coverage.combine() if list(ROOT.glob(".coverage.*")) else None
    coverage.load()
    with tempfile.NamedTemporaryFile(suffix=".json") as file:
        sys.stdout, kept = io.StringIO(), sys.stdout
        try:
            coverage.json_report(outfile=file.name)
        finally:
            sys.stdout = kept
        files = json.loads(Path(file.name).read_text(encoding="utf-8"))["files"]
    totals = dict.fromkeys(GUARDED, (0, 0))
    for name, entry in files.items():
        folder = next((guarded for guarded in GUARDED if name.startswith(f"{guarded}/")), None)
        if folder is not None:
            taken, there = totals[folder]
            summary = entry["summary"]
            totals[folder] = taken + summary["covered_branches"], there + summary["num_branches"]
    return totals


def main() -> int:
    """Print each folder's branch coverage; 1 when one is below the floor or was not run at all."""
    low = False
    for folder, (taken, there) in measure_branches().items():
        share = 100 * taken / there if there else 0.0
        low |= share < FLOOR
        print(f"{folder}: {taken} of {there} branches, {share:.1f} % (at least {FLOOR:.0f} %)")
    return int(low)


if __name__ == "__main__":
    sys.exit(main())
