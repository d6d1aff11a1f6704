"""What was planned, sent and paid, and how much more may be: the journal and the budgets."""

from client.budget.books import check_books
from client.budget.budgets import DEFAULT_PROJECT, Budget, Budgets, Caps, Project
from client.budget.entries import (
    Batch,
    Entry,
    Form,
    ItemOutcome,
    Settlement,
    State,
    Total,
)
from client.budget.holds import BudgetTooSmall
from client.budget.journal import Journal

__all__ = [
    "DEFAULT_PROJECT",
    "Batch",
    "Budget",
    "BudgetTooSmall",
    "Budgets",
    "Caps",
    "Entry",
    "Form",
    "ItemOutcome",
    "Journal",
    "Project",
    "Settlement",
    "State",
    "Total",
    "check_books",
]
