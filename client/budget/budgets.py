"""How much a run may spend: money is held before a request is sent and settled to its receipt."""

from dataclasses import dataclass

from sqlalchemy import Connection, select, update

from client.cache.database import Database
from client.cache.tables import budget
from client.cache.upserts import insert_missing

__all__ = ["Budget", "BudgetTooSmall", "Budgets", "hold", "settle"]


@dataclass(frozen=True, slots=True)
class Budget:
    """One run's money, in nano-dollars."""

    cap_nanousd: int
    held_nanousd: int
    """For requests that are planned, under way, or whose end is unknown."""
    spent_nanousd: int

    @property
    def left_nanousd(self) -> int:
        """What may still be held; never negative."""
        return max(0, self.cap_nanousd - self.held_nanousd - self.spent_nanousd)


class BudgetTooSmall(Exception):
    """The run's budget does not cover the request; nothing has changed."""


class Budgets:
    """The budgets of all runs in one database."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def get(self, run: str) -> Budget | None:
        """A run's budget; None before its first."""
        with self._database.read() as connection:
            row = connection.execute(select(budget).where(budget.c.run == run)).one_or_none()
        if row is None:
            return None
        return Budget(row.cap_nanousd, row.held_nanousd, row.spent_nanousd)

    def set_cap(self, run: str, cap_nanousd: int) -> Budget:
        """Let a run spend so much in all, what it spent before included."""
        with self._database.write() as connection:
            fresh = {"run": run, "cap_nanousd": 0, "held_nanousd": 0, "spent_nanousd": 0}
            insert_missing(connection, budget, [fresh])
            row = connection.execute(
                update(budget)
                .where(budget.c.run == run)
                .values(cap_nanousd=cap_nanousd)
                .returning(budget.c.held_nanousd, budget.c.spent_nanousd)
            ).one()
        return Budget(cap_nanousd, row.held_nanousd, row.spent_nanousd)


def hold(connection: Connection, run: str, nanousd: int) -> None:
    """Set money aside inside the caller's transaction. Raises BudgetTooSmall."""
    left = budget.c.cap_nanousd - budget.c.held_nanousd - budget.c.spent_nanousd
    held = connection.execute(
        update(budget)
        # What costs nothing fits into any budget, even one that was lowered below its spending.
        .where(budget.c.run == run, (left >= nanousd) | (nanousd == 0))
        .values(held_nanousd=budget.c.held_nanousd + nanousd)
    )
    if held.rowcount != 1:
        raise BudgetTooSmall(run)


def settle(connection: Connection, run: str, *, held_nanousd: int, spent_nanousd: int) -> None:
    """Give a hold back and book what was really spent, inside the caller's transaction."""
    connection.execute(
        update(budget)
        .where(budget.c.run == run)
        .values(
            held_nanousd=budget.c.held_nanousd - held_nanousd,
            spent_nanousd=budget.c.spent_nanousd + spent_nanousd,
        )
    )
