"""`vl2v cache stats | verify | export | import | prune`: what was bought, kept in order."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer
from rich.filesize import decimal

from client.cli import options
from client.cli.bars import show_count
from client.cli.pruning import Purposes, Revision, prune
from client.cli.screen import JsonFlag, print_json, print_table, results
from client.cli.times import show_time
from client.cli.training import open_store
from shared.money import format_usd, show_usd

cache = typer.Typer(
    help="Look at, check, hand on and tidy up what was bought.", no_args_is_help=True
)

__all__ = ["register"]


def register(app: typer.Typer) -> None:
    """Add the commands."""
    cache.command()(prune)
    app.add_typer(cache, name="cache")


@cache.command()
def stats(as_json: JsonFlag = False, where: options.Cache = None) -> None:
    """Vectors by model, purpose and view: how many, how large, what they cost, how old they are.

    Example: vl2v cache stats
    """
    from client.cache import take_inventory

    with open_store(where) as store:
        found = take_inventory(store.database)
    if as_json:
        shelves = [
            {
                name: value
                for name, value in asdict(shelf).items()
                if not name.endswith(("_ns", "usd"))
            }
            | {
                "paid_usd": format_usd(shelf.paid_nanousd),
                "oldest": _as_time(shelf.oldest_ns),
                "newest": _as_time(shelf.newest_ns),
            }
            for shelf in found.shelves
        ]
        sums = {"vectors": found.vectors, "disk_bytes": found.disk_bytes}
        print_json(sums | {"paid_usd": format_usd(found.paid_nanousd), "shelves": shelves})
        return
    print_table(
        ["model", "revision", "what", "for", "view", "vectors", "size", "paid", "oldest", "newest"],
        [
            (
                ", ".join(shelf.models) or "–",
                shelf.revision,
                f"{shelf.modality}s",
                shelf.purpose,
                shelf.view,
                shelf.vectors,
                decimal(shelf.vector_bytes),
                show_usd(shelf.paid_nanousd),
                show_time(shelf.oldest_ns),
                show_time(shelf.newest_ns),
            )
            for shelf in found.shelves
        ],
    )
    disk = "" if found.disk_bytes is None else f", {decimal(found.disk_bytes)} on disk"
    results().print(
        f"{found.vectors} vectors{disk}; {show_usd(found.paid_nanousd)} paid by the journal in all"
    )


@cache.command()
def verify(as_json: JsonFlag = False, where: options.Cache = None) -> None:
    """Check every vector, document, request and budget; exit code 1 when something is wrong.

    Vectors have their teacher's length, are finite and of unit length; what was paid for is here;
    budgets are the sums of their requests; SQLite can read its whole file.

    Example: vl2v cache verify
    """
    from client.budget import check_books
    from client.cache import CacheError, verify_cache

    with open_store(where) as store:
        with show_count("checking", store.count()) as advance:
            found = verify_cache(store.database, progress=advance)
        problems = [asdict(problem) for problem in found.problems]
        try:
            check_books(store.database)
        except CacheError as error:
            problems.append({"kind": "books", "count": 1, "said": str(error)})
    if as_json:
        print_json(
            {
                "vectors": found.vectors,
                "not_in_journal": found.unjournalled,
                "problems": problems,
            }
        )
    else:
        for problem in problems:
            results().print(f"[red]{problem['kind']}[/red]: ", end="")
            results().print(problem["said"], markup=False)
        apart = f", {found.unjournalled} of them not bought here" if found.unjournalled else ""
        results().print(f"{found.vectors} vectors checked{apart}; {len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@cache.command(name="export")
def export_cache(
    file: Annotated[Path, typer.Argument(help="The safetensors file to write.")],
    *,
    revision: Revision = None,
    purpose: Purposes = None,
    as_json: JsonFlag = False,
    where: options.Cache = None,
) -> None:
    """Write vectors, their digests and the model documents to one file; no keys, paths or receipts.

    The same cache gives the same bytes. Another machine takes it with `vl2v cache import`.

    Example: vl2v cache export bought.safetensors --purpose training
    """
    from client.cache import export_archive

    with open_store(where) as store, show_count("writing", store.count()) as advance:
        header = export_archive(
            store.database, file, revision=revision, purpose=purpose, progress=advance
        )
    count = sum(shelf.count for shelf in header.shelves)
    said = {"file": str(file), "vectors": count, "bytes": file.stat().st_size}
    if as_json:
        print_json(said | {"sha256": header.sha256})
    else:
        results().print(f"{count} vectors in {file}, {decimal(file.stat().st_size)}")


@cache.command(name="import")
def import_cache(
    files: Annotated[list[Path], typer.Argument(help="Files of `vl2v cache export`.")],
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the files, count, and add nothing.")
    ] = False,
    as_json: JsonFlag = False,
    where: options.Cache = None,
) -> None:
    """Add the vectors that this cache lacks; what is here stays as it is.

    Each file is checked whole first: its checksum, lengths, digests, and that vectors are unit.

    Example: vl2v cache import bought.safetensors
    """
    from client.cache import import_archive

    done = []
    with open_store(where) as store:
        for file in files:
            with show_count(f"reading {file.name}", None) as advance:
                taken = import_archive(store.database, file, dry_run=dry_run, progress=advance)
            done.append({"file": str(file), "dry_run": dry_run} | asdict(taken))
    if as_json:
        print_json(done)
        return
    for one in done:
        verb = "would be added" if dry_run else "added"
        results().print(
            f"{one['file']}: {one['added']} vectors {verb}, {one['present']} were here, "
            f"{one['models']} model documents {verb}"
        )


def _as_time(time_ns: int | None) -> str | None:
    return None if time_ns is None else show_time(time_ns)
