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


def configure_logs(*, json: bool, level: str = "info", stream: TextIO | None = None) -> None:
    """Set up the logs of a server process, those of its libraries too: JSON, or for a person.

    They go to `stream`; without one, to what is standard error at the time of each line.
    """
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
        logger_factory=structlog.PrintLoggerFactory(stream or sys.stderr),
        cache_logger_on_first_use=False,
    )
    handler = _Handler(stream)
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
    for earlier in [each for each in root.handlers if isinstance(each, _Handler)]:
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


class _Handler(logging.StreamHandler[TextIO]):
    def __init__(self, stream: TextIO | None) -> None:
        super().__init__(stream or sys.stderr)
        self._given = stream

    def emit(self, record: logging.LogRecord) -> None:
        self.stream = self._given or sys.stderr
        super().emit(record)
