"""Structured logs on standard error, with every API key blacked out."""

import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

from vendor_api.auth import keys

__all__ = ["configure_logs", "redact"]


def configure_logs(*, json: bool, level: str = "info") -> None:
    """Set up structlog for a server process: JSON lines, or lines for a person."""
    renderer = (
        structlog.processors.JSONRenderer()
        if json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redact,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Keep of a key only its prefix, wherever in a line it stands."""
    for name, value in event.items():
        if isinstance(value, str):
            event[name] = keys.redact(value)
    return event
