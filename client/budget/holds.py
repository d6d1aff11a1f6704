"""Money and items are held before a request is sent and settled to its receipt.

A hold is one transaction over a run and its project, so that no number of threads, processes and
runs goes beyond either cap.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, Connection, Table, and_, or_, select, update

from client.cache.statements import Statement, given
from client.cache.tables import budget, project
from client.errors import BudgetReached
from shared.money import show_usd

__all__ = ["BudgetTooSmall", "Sum", "hold", "move_run", "settle"]


class BudgetTooSmall(BudgetReached):
    """The run's budget, or its project's, does not cover the request; nothing has changed."""


@dataclass(frozen=True, slots=True)
class Sum:
    """Money, in nano-dollars, and the items that it is for."""

    nanousd: int = 0
    items: int = 0

    def more(self, what: str) -> dict[str, int]:
        """The values that statements made with `_add(…, what)` add."""
        return {f"more_{what}_nanousd": self.nanousd, f"more_{what}_items": self.items}


def _more(column: str) -> ColumnElement[int]:
    return given(f"more_{column}", BigInteger())


def _add(table: Table, *what: str) -> dict[str, Any]:
    columns = [f"{one}_{unit}" for one in what for unit in ("nanousd", "items")]
    return {column: table.c[column] + _more(column) for column in columns}


def _covers(table: Table) -> ColumnElement[bool]:
    """Whether a row's caps leave room; what costs nothing fits under any, even a lowered one."""
    rooms = []
    for unit in ("nanousd", "items"):
        cap, held, spent = (table.c[f"{name}_{unit}"] for name in ("cap", "held", "spent"))
        wanted = _more(f"held_{unit}")
        rooms.append(or_(wanted == 0, cap.is_(None), cap - held - spent >= wanted))
    return and_(*rooms)


_THIS_RUN, _THIS_PROJECT = budget.c.run == given("of"), project.c.name == given("of")
_HOLD = Statement(
    update(budget)
    .where(_THIS_RUN, _covers(budget))
    .values(_add(budget, "held"))
    .returning(budget.c.project)
)
_HOLD_SHARED = Statement(
    update(project).where(_THIS_PROJECT, _covers(project)).values(_add(project, "held"))
)
_BOOK = Statement(
    update(budget)
    .where(_THIS_RUN)
    .values(_add(budget, "held", "spent"))
    .returning(budget.c.project)
)
_BOOK_SHARED = Statement(
    update(project).where(_THIS_PROJECT).values(_add(project, "held", "spent"))
)


def hold(connection: Connection, run: str, wanted: Sum) -> None:
    """Set money and items aside inside the caller's transaction. Raises BudgetTooSmall."""
    held = _HOLD.fetch_one(connection, of=run, **wanted.more("held"))
    if held is None:
        raise _refuse(connection, run, wanted)
    if _HOLD_SHARED.run(connection, of=held.project, **wanted.more("held")) != 1:
        raise _refuse(connection, run, wanted, in_project=held.project)


def settle(connection: Connection, run: str, *, held: Sum, spent: Sum) -> None:
    """Give a hold back and book what was really spent, inside the caller's transaction."""
    amounts = Sum(-held.nanousd, -held.items).more("held") | spent.more("spent")
    for booked in _BOOK.fetch(connection, of=run, **amounts):
        _BOOK_SHARED.run(connection, of=booked.project, **amounts)


def move_run(connection: Connection, run: str, into: str) -> None:
    """Let another project, which is there, answer for what a run holds and has spent."""
    row = connection.execute(select(budget).where(budget.c.run == run).with_for_update()).one()
    if row.project == into:
        return
    held, spent = Sum(row.held_nanousd, row.held_items), Sum(row.spent_nanousd, row.spent_items)
    for name, sign in sorted([(row.project, -1), (into, 1)]):
        moved = [Sum(sign * part.nanousd, sign * part.items) for part in (held, spent)]
        amounts = moved[0].more("held") | moved[1].more("spent")
        _BOOK_SHARED.run(connection, of=name, **amounts)
    connection.execute(update(budget).where(budget.c.run == run).values(project=into))


def _refuse(
    connection: Connection, run: str, wanted: Sum, *, in_project: str | None = None
) -> BudgetTooSmall:
    """Which cap it was and what to type to raise it."""
    if in_project is None:
        row = connection.execute(select(budget).where(budget.c.run == run)).one_or_none()
        whose, option = f"run {run}", f"--run {run}"
    else:
        row = connection.execute(select(project).where(project.c.name == in_project)).one()
        whose, option = f"project {in_project}", f"--project {in_project}"
    if row is None:
        return BudgetTooSmall(f"{whose} has no budget: type `vl2v budget set {option} --usd 2.50`")
    money = _room(row.cap_nanousd, row.held_nanousd, row.spent_nanousd)
    if money is not None and wanted.nanousd and money < wanted.nanousd:
        enough = show_usd(row.cap_nanousd - money + wanted.nanousd).lstrip("$")
        return BudgetTooSmall(
            f"the budget of {whose} has {show_usd(money)} of {show_usd(row.cap_nanousd)} left: "
            f"type `vl2v budget set {option} --usd {enough}` or more to go on"
        )
    left = _room(row.cap_items, row.held_items, row.spent_items) or 0
    return BudgetTooSmall(
        f"the budget of {whose} has {left} of {row.cap_items} items left: type "
        f"`vl2v budget set {option} --items {row.cap_items - left + wanted.items}` or more to go on"
    )


def _room(cap: int | None, held: int, spent: int) -> int | None:
    return None if cap is None else max(0, cap - held - spent)
