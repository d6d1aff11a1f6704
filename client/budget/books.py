"""Whether the client's own books agree: budgets are what their journal adds up to."""

from sqlalchemy import func, select

from client.cache.database import CacheError, Database
from client.cache.tables import budget, journal
from shared.money import show_usd

__all__ = ["check_books"]


def check_books(database: Database) -> str:
    """One line about the books. Raises CacheError when a budget is not the sum of its requests."""
    sums = select(
        journal.c.run,
        func.sum(journal.c.held_nanousd),
        func.sum(func.coalesce(journal.c.cost_nanousd, 0)),
    ).group_by(journal.c.run)
    with database.read() as connection:
        budgets = {
            row.run: (row.held_nanousd, row.spent_nanousd)
            for row in connection.execute(select(budget))
        }
        journals = {run: (int(held), int(spent)) for run, held, spent in connection.execute(sums)}
    for run, (held, spent) in budgets.items():
        wrong = journals.get(run, (0, 0)) != (held, spent)
        if wrong:
            raise CacheError(
                f"the budget of run {run} is not the sum of its requests: tell the authors, and "
                "name another run with --run to go on"
            )
    held = sum(held for held, _ in journals.values())
    spent = sum(spent for _, spent in journals.values())
    return f"{len(budgets)} runs, {show_usd(spent)} spent, {show_usd(held)} held, sums agree"
