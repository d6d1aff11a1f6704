"""How much a run, and all runs of a project together, may spend."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from sqlalchemy import Connection, Row, select, update

from client.budget.holds import move_run
from client.cache.database import Database
from client.cache.tables import budget, project
from client.cache.upserts import insert_missing

DEFAULT_PROJECT = "default"
"""The project of every run that was not given to another."""

Cap = Literal["cap_nanousd", "cap_items"]
Caps = Mapping[Cap, int | None]
"""The caps to change; None takes one away. A run always has one in money."""

_NOTHING = {"held_nanousd": 0, "held_items": 0, "spent_nanousd": 0, "spent_items": 0}

__all__ = ["DEFAULT_PROJECT", "Budget", "Budgets", "Caps", "Project"]


@dataclass(frozen=True, slots=True)
class Project:
    """What all runs of a project share. A cap that is None is none."""

    name: str
    cap_nanousd: int | None = None
    held_nanousd: int = 0
    spent_nanousd: int = 0
    cap_items: int | None = None
    held_items: int = 0
    spent_items: int = 0

    @property
    def left_nanousd(self) -> int | None:
        """What may still be held; never negative."""
        return _left(self.cap_nanousd, self.held_nanousd, self.spent_nanousd)

    @property
    def left_items(self) -> int | None:
        """How many items may still be asked for; never negative."""
        return _left(self.cap_items, self.held_items, self.spent_items)


@dataclass(frozen=True, slots=True)
class Budget:
    """One run's money, in nano-dollars, and items."""

    cap_nanousd: int
    held_nanousd: int
    """For requests that are planned, under way, or whose end is unknown."""
    spent_nanousd: int
    cap_items: int | None = None
    held_items: int = 0
    spent_items: int = 0
    """Embedded, at a price or free."""
    project: Project = Project(DEFAULT_PROJECT)

    @property
    def left_nanousd(self) -> int:
        """What the run may still hold, by its own cap and its project's; never negative."""
        own = max(0, self.cap_nanousd - self.held_nanousd - self.spent_nanousd)
        shared = self.project.left_nanousd
        return own if shared is None else min(own, shared)

    @property
    def left_items(self) -> int | None:
        """How many items it may still ask for, by both caps; None without any; never negative."""
        own = _left(self.cap_items, self.held_items, self.spent_items)
        known = [left for left in (own, self.project.left_items) if left is not None]
        return min(known) if known else None

    def fits(self, wanted: int, price_nanousd: int) -> int:
        """How many of so many items at a price may be asked for now."""
        affordable = self.left_nanousd // price_nanousd if price_nanousd else wanted
        countable = wanted if self.left_items is None else self.left_items
        return min(wanted, affordable, countable)


class Budgets:
    """The budgets of all runs and projects in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, run: str) -> Budget | None:
        """A run's budget; None before its first."""
        with self._database.read() as connection:
            row = connection.execute(select(budget).where(budget.c.run == run)).one_or_none()
            return None if row is None else _read_run(row, _find_project(connection, row.project))

    def get_project(self, name: str) -> Project:
        """A project's budget; without caps when it was never heard of."""
        with self._database.read() as connection:
            return _find_project(connection, name)

    def list_runs(self) -> dict[str, Budget]:
        """Run → its budget, by name."""
        with self._database.read() as connection:
            projects = {found.name: found for found in _find_projects(connection)}
            return {
                row.run: _read_run(row, projects.get(row.project, Project(row.project)))
                for row in connection.execute(select(budget).order_by(budget.c.run))
            }

    def list_projects(self) -> list[Project]:
        """Every project, by name."""
        with self._database.read() as connection:
            return _find_projects(connection)

    def set_cap(self, run: str, cap_nanousd: int) -> Budget:
        """Let a run spend so much in all, what it spent before included."""
        return self.change_run(run, {"cap_nanousd": cap_nanousd})

    def change_run(self, run: str, caps: Caps, *, into: str | None = None) -> Budget:
        """Set caps of a run, made if it is new, and move it `into` another project if one is named.

        A cap below what is held and spent is taken: nothing more that costs is asked for then.
        """
        if caps.get("cap_nanousd", 0) is None:
            raise ValueError("a run always has a cap in money")
        with self._database.write() as connection:
            fresh = {"run": run, "project": into or DEFAULT_PROJECT, "cap_nanousd": 0} | _NOTHING
            insert_missing(connection, budget, [fresh])
            if into is not None:
                insert_missing(connection, project, [{"name": into} | _NOTHING])
                move_run(connection, run, into)
            if caps:
                connection.execute(update(budget).where(budget.c.run == run).values(dict(caps)))
            row = connection.execute(select(budget).where(budget.c.run == run)).one()
            insert_missing(connection, project, [{"name": row.project} | _NOTHING])
            return _read_run(row, _find_project(connection, row.project))

    def change_project(self, name: str, caps: Caps) -> Project:
        """Set caps of a project, made if it is new."""
        with self._database.write() as connection:
            insert_missing(connection, project, [{"name": name} | _NOTHING])
            if caps:
                connection.execute(update(project).where(project.c.name == name).values(dict(caps)))
            return _find_project(connection, name)


def _find_project(connection: Connection, name: str) -> Project:
    row = connection.execute(select(project).where(project.c.name == name)).one_or_none()
    return Project(name) if row is None else _read_project(row)


def _find_projects(connection: Connection) -> list[Project]:
    return [_read_project(row) for row in connection.execute(select(project).order_by("name"))]


def _read_project(row: Row[Any]) -> Project:
    return Project(
        row.name,
        row.cap_nanousd,
        row.held_nanousd,
        row.spent_nanousd,
        row.cap_items,
        row.held_items,
        row.spent_items,
    )


def _read_run(row: Row[Any], shared: Project) -> Budget:
    return Budget(
        row.cap_nanousd,
        row.held_nanousd,
        row.spent_nanousd,
        row.cap_items,
        row.held_items,
        row.spent_items,
        shared,
    )


def _left(cap: int | None, held: int, spent: int) -> int | None:
    return None if cap is None else max(0, cap - held - spent)
