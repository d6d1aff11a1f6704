"""What the writer is asked to do: the three commands of a request, or any function of a transaction."""

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any, TypeAlias, TypeVar

from sqlalchemy import Connection

from vendor_api.ledger import reservation
from vendor_api.ledger.capture import Counts, capture
from vendor_api.ledger.commands import Hold, Reserve
from vendor_api.ledger.shelves import Shelves

T = TypeVar("T")
Work = Callable[[Connection, int], T]
"""Runs inside a transaction, given the database's present in microseconds."""

__all__ = ["Capture", "Command", "Job", "Release", "Work", "perform"]


@dataclass(frozen=True, slots=True)
class Capture:
    """Charge a hold's delivered lines."""

    hold: Hold
    delivered: tuple[bool, ...]
    failed: Counts = 0
    repeated: Counts = 0


@dataclass(frozen=True, slots=True)
class Release:
    """Give a hold's money back; `final` spends its key at amount zero."""

    hold: Hold
    final: bool


Command: TypeAlias = Reserve | Capture | Release
"""What a group can decide at once."""


@dataclass(frozen=True, slots=True)
class Job:
    """One thing to do for an account, and the future that learns what came of it."""

    account_id: str
    task: Command | Work[Any]
    future: "Future[Any]" = field(default_factory=Future)


def perform(
    connection: Connection, now: int, task: Command | Work[Any], shelves: Shelves | None = None
) -> Any:
    """Do it by itself, whatever it is. Raises what the command or the function raises."""
    match task:
        case Reserve():
            return reservation.reserve(connection, now, task)
        case Capture():
            return capture(
                connection,
                now,
                task.hold,
                task.delivered,
                failed=task.failed,
                repeated=task.repeated,
                shelves=shelves,
            )
        case Release():
            return reservation.release(connection, task.hold, final=task.final)
        case _:
            return task(connection, now)
