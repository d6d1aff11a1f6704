"""How commands speak: results to stdout, progress and errors to stderr, failures as one sentence."""

import json
import sys
from collections.abc import Iterable, Sequence
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer.core import TyperGroup

from client.errors import ClientError

INTERRUPTED = 130

JsonFlag = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]

__all__ = ["JsonFlag", "ReportingGroup", "errors", "print_json", "print_table", "results"]


def results() -> Console:
    """Where results go: stdout as it is now, so that a caller may have replaced it."""
    return Console(file=sys.stdout, highlight=False, soft_wrap=True)


def errors() -> Console:
    """Where progress and errors go."""
    return Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """One JSON document on stdout, and nothing else."""
    sys.stdout.write(json.dumps(document, indent=2, ensure_ascii=False) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Rows for a person, numbers to the right."""
    table = Table(box=None, pad_edge=False)
    filled = [[str(cell) for cell in row] for row in rows]
    for number, name in enumerate(columns):
        numeric = bool(filled) and all(_is_number(row[number]) for row in filled)
        table.add_column(name, justify="right" if numeric else "left", overflow="fold")
    for row in filled:
        table.add_row(*map(escape, row))
    console = Console(file=sys.stdout, highlight=False)
    if not console.is_terminal:
        # A pipe has no width; folding there would cut keys and numbers.
        console.width = 200
    console.print(table)


def _is_number(cell: str) -> bool:
    return cell.strip("$-–").replace(",", "").replace(".", "").isdigit() or cell in ("", "–")


class ReportingGroup(TyperGroup):
    """A command group that turns what the client refuses into a sentence and an exit code."""

    def invoke(self, ctx: Any) -> Any:
        """Run the command; a ClientError ends it with its own exit code."""
        try:
            return super().invoke(ctx)
        except ClientError as error:
            errors().print(f"[red]{escape(str(error))}[/red]")
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            errors().print("interrupted")
            raise typer.Exit(INTERRUPTED) from error
