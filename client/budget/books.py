"""Whether the client's own books agree: budgets are what their journal adds up to."""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import func, select

from client.cache.database import CacheError, Database
from client.cache.tables import budget, journal, project
from shared.money import show_usd

_PARTS = ("held_nanousd", "spent_nanousd", "held_items", "spent_items")
_Sums = tuple[int, ...]

__all__ = ["check_books"]


def check_books(database: Database) -> str:
    """One line about the books.

    Raises CacheError when a run's budget is not the sum of its requests, or a project's not that of
    its runs.
    """
    requests = select(
        journal.c.run,
        func.sum(journal.c.held_nanousd),
        func.sum(func.coalesce(journal.c.cost_nanousd, 0)),
        func.sum(journal.c.held_items),
        func.sum(func.coalesce(journal.c.spent_items, 0)),
    ).group_by(journal.c.run)
    runs = select(budget.c.project, *(func.sum(budget.c[part]) for part in _PARTS)).group_by(
        budget.c.project
    )
    with database.read() as connection:
        asked = _by_name(connection.execute(requests))
        held = _by_name(connection.execute(select(budget.c.run, *(budget.c[p] for p in _PARTS))))
        summed = _by_name(connection.execute(runs))
        shared = _by_name(
            connection.execute(select(project.c.name, *(project.c[part] for part in _PARTS)))
        )
    _compare("run", held, asked, "requests: name another run with --run to go on")
    _compare(
        "project", shared, summed, "runs: move them with `vl2v budget set --run … --project …`"
    )
    spent = sum(sums[1] for sums in asked.values())
    open_ = sum(sums[0] for sums in asked.values())
    return f"{len(held)} runs, {show_usd(spent)} spent, {show_usd(open_)} held, sums agree"


def _by_name(rows: Any) -> dict[str, _Sums]:
    return {name: tuple(int(part) for part in sums) for name, *sums in rows}


def _compare(kind: str, books: Mapping[str, _Sums], sums: Mapping[str, _Sums], remedy: str) -> None:
    nothing = (0,) * len(_PARTS)
    for name in books.keys() | sums.keys():
        if books.get(name, nothing) != sums.get(name, nothing):
            raise CacheError(
                f"the budget of {kind} {name} is not the sum of its {remedy}, and tell the authors"
            )
