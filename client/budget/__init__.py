"""What was planned, sent and paid, and how much more may be: the journal and the budgets."""

from client.budget.books import check_books
from client.budget.budgets import Budget, Budgets, BudgetTooSmall
from client.budget.entries import (
    Batch,
    Entry,
    ItemOutcome,
    Settlement,
    State,
    Total,
)
from client.budget.journal import Journal

__all__ = [
    "Batch",
    "Budget",
    "BudgetTooSmall",
    "Budgets",
    "Entry",
    "ItemOutcome",
    "Journal",
    "Settlement",
    "State",
    "Total",
    "check_books",
]
