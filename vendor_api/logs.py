"""Structured logs on standard error: each line of a request names it, and no line holds a secret."""

import logging
import sys
from collections.abc import MutableMapping
from typing import Any, TextIO

import structlog
from structlog.typing import Processor

from vendor_api import redaction
from vendor_api.notes import add_notes

__all__ = ["configure_logs", "redact"]


def configure_logs(*, json: bool, level: str = "info") -> None:
    """Set up the logs of a server process, those of its libraries too: JSON, or for a person."""
    shared: list[Processor] = [
        add_notes,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.format_exc_info,
        redact,
    ]
    renderer = _make_renderer(json)
    structlog.configure(
        processors=[*shared, renderer],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _StandardError()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.add_logger_name, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                # The record's own exception is formatted after the chain above.
                structlog.processors.format_exc_info,
                redact,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    for earlier in [each for each in root.handlers if isinstance(each, _StandardError)]:
        root.removeHandler(earlier)
    root.addHandler(handler)
    logging.getLogger("vendor_api").setLevel(level.upper())


def redact(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """For structlog: the line without secrets, wherever in it they stand."""
    for name, value in event.items():
        if not name.startswith("_") and name != "exc_info":
            event[name] = redaction.redact_value(name, value)
    return event


def _make_renderer(json: bool) -> Processor:
    if json:
        return structlog.processors.JSONRenderer()
    # Plain tracebacks: the prettier ones print the values of local variables, keys among them.
    return structlog.dev.ConsoleRenderer(
        colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
    )


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what is standard error at the time."""

    def __init__(self) -> None:
        super().__init__(sys.stderr)

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = sys.stderr
        super().emit(record)
