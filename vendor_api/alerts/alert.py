"""One alert, and the list of all there are."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Severity = Literal["warning", "critical"]

SEVERITIES: Mapping[str, Severity] = {
    "audit_overdue": "critical",
    "books_wrong": "critical",
    "database_down": "critical",
    "disk_nearly_full": "critical",
    "engine_down": "critical",
    "error_rate": "critical",
    "service_down": "critical",
    "cap_reached": "warning",
    "low_balance": "warning",
    "redis_degraded": "warning",
    "stuck_holds": "warning",
}
"""By name: whether money, answers or the books are in danger, or somebody should only know."""

NAMED = 3
"""Subjects that a summary names before it only counts."""

__all__ = ["SEVERITIES", "Alert", "Severity", "enumerate_subjects", "raise_alert"]


@dataclass(frozen=True, slots=True)
class Alert:
    """One thing to look at."""

    name: str
    severity: Severity
    summary: str
    """A sentence: what is wrong with whom, and what to do."""
    link: str
    """The page that shows it."""


def raise_alert(name: str, summary: str, link: str = "/dashboard") -> Alert:
    """An alert of the severity that its name has."""
    return Alert(name, SEVERITIES[name], summary, link)


def enumerate_subjects(subjects: Iterable[str]) -> str:
    """The first few, and how many more."""
    listed = list(subjects)
    more = len(listed) - NAMED
    return ", ".join(listed[:NAMED]) + (f" and {more} more" if more > 0 else "")
