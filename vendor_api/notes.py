"""What is known of the request under way, so that each of its log lines says so.

One dictionary belongs to a request. The tasks that it starts share it, so that what the paying task
learns (the charge) is also on the line that the connection's task writes at the end.
"""

from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any

_current: ContextVar[dict[str, Any] | None] = ContextVar("request_notes", default=None)

__all__ = ["add_notes", "begin", "note"]


def begin(request_id: str) -> dict[str, Any]:
    """Start a request's notes; they last as long as the task that calls this, and its own tasks."""
    notes: dict[str, Any] = {"request_id": request_id}
    _current.set(notes)
    return notes


def note(**known: Any) -> None:
    """Add to the notes of the request under way; outside of one, nothing happens."""
    notes = _current.get()
    if notes is not None:
        notes.update(known)


def add_notes(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> Any:
    """For structlog: the notes on every line, under what the line itself says."""
    notes = _current.get()
    return event if notes is None else {**notes, **event}
