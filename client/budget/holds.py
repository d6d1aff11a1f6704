"""Money and items are held before a request is sent and settled to its receipt.

A hold is one transaction over a run and its project, so that no number of threads, processes and
runs goes beyond either cap.
"""

from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, and_, or_, select, true, update

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


def hold(connection: Connection, run: str, wanted: Sum) -> None:
    """Set money and items aside inside the caller's transaction. Raises BudgetTooSmall."""
    held = connection.execute(
        update(budget)
        .where(budget.c.run == run, _covers(budget, wanted))
        .values(_add(budget, "held", wanted))
        .returning(budget.c.project)
    ).one_or_none()
    if held is None:
        raise _refuse(connection, run, wanted)
    shared = connection.execute(
        update(project)
        .where(project.c.name == held.project, _covers(project, wanted))
        .values(_add(project, "held", wanted))
    )
    if shared.rowcount != 1:
        raise _refuse(connection, run, wanted, in_project=held.project)


def settle(connection: Connection, run: str, *, held: Sum, spent: Sum) -> None:
    """Give a hold back and book what was really spent, inside the caller's transaction."""
    returned = Sum(-held.nanousd, -held.items)
    name = connection.execute(
        update(budget)
        .where(budget.c.run == run)
        .values(_add(budget, "held", returned) | _add(budget, "spent", spent))
        .returning(budget.c.project)
    ).scalar_one_or_none()
    connection.execute(
        update(project)
        .where(project.c.name == name)
        .values(_add(project, "held", returned) | _add(project, "spent", spent))
    )


def _covers(table: Table, wanted: Sum) -> ColumnElement[bool]:
    """Whether a row's caps leave room; what costs nothing fits under any, even a lowered one."""
    rooms = []
    for unit, amount in (("nanousd", wanted.nanousd), ("items", wanted.items)):
        cap, held, spent = (table.c[f"{name}_{unit}"] for name in ("cap", "held", "spent"))
        if amount:
            rooms.append(or_(cap.is_(None), cap - held - spent >= amount))
    return and_(true(), *rooms)


def _add(table: Table, what: str, amount: Sum) -> dict[str, Any]:
    return {
        f"{what}_{unit}": table.c[f"{what}_{unit}"] + value
        for unit, value in (("nanousd", amount.nanousd), ("items", amount.items))
    }


def move_run(connection: Connection, run: str, into: str) -> None:
    """Let another project, which is there, answer for what a run holds and has spent."""
    row = connection.execute(select(budget).where(budget.c.run == run).with_for_update()).one()
    if row.project == into:
        return
    held, spent = Sum(row.held_nanousd, row.held_items), Sum(row.spent_nanousd, row.spent_items)
    for name, sign in sorted([(row.project, -1), (into, 1)]):
        moved = [Sum(sign * part.nanousd, sign * part.items) for part in (held, spent)]
        connection.execute(
            update(project)
            .where(project.c.name == name)
            .values(_add(project, "held", moved[0]) | _add(project, "spent", moved[1]))
        )
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
