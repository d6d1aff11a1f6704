"""A comparison as files: Markdown, CSV, JSON and every run's line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from client.train.comparison import Difference
from client.train.runs import write_json
from client.train.sheets import format_csv, format_markdown, write_text
from client.train.summary import Summary, table_cells

__all__ = ["difference_cells", "write_lines", "write_tables"]


def write_tables(
    rows: Sequence[Summary],
    lines: Sequence[dict[str, Any]],
    out: Path,
    differences: Sequence[Difference] = (),
) -> None:
    """OUT/table.md, table.csv (a row a method), differences.csv, runs.csv (a row a run),
    results.jsonl (each run's whole line) and summary.json."""
    document = {
        "rows": [row.document() for row in rows],
        "differences": [difference.document() for difference in differences],
    }
    write_json(out / "summary.json", document)
    write_lines(out / "results.jsonl", lines)
    method_table = table_cells(rows)
    write_text(out / "table.csv", format_csv([method_table[0], *method_table[1]]))
    text = format_markdown(*method_table)
    if differences:
        named = [row.document() for row in differences]
        write_text(
            out / "differences.csv", format_csv([[*named[0]], *([*row.values()] for row in named)])
        )
        text += "\n" + format_markdown(*difference_cells(differences))
    write_text(out / "table.md", text)
    keys = ["method", "trial_seed", "in_domain_acc", "in_domain_class_acc", "ood_acc"]
    keys += ["ood_class_acc", "seconds"]
    body = [[",".join(line["targets"]), *(str(line[key]) for key in keys)] for line in lines]
    write_text(out / "runs.csv", format_csv([["target", *keys], *body]))


def write_lines(file: Path, lines: Sequence[dict[str, Any]]) -> None:
    """JSON lines, written beside their place and renamed."""
    write_text(file, "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines))


def difference_cells(differences: Sequence[Difference]) -> tuple[list[str], list[list[str]]]:
    """(header, cells) of the paired differences, in points out of domain."""
    header = ["difference", "OOD points", "95 % interval", "pairs of runs", "excludes 0"]
    cells = [
        [
            f"{row.a} − {row.b}",
            f"{100 * row.interval.mean:+.1f}",
            f"{100 * row.interval.low:+.1f} to {100 * row.interval.high:+.1f}",
            str(row.pairs),
            "yes" if row.interval.excludes_zero else "no",
        ]
        for row in differences
    ]
    return header, cells
