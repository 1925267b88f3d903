"""Structured logs: one JSON object a line on standard output. Jobs' code, inputs and outputs and keys never go in."""

import logging
import sys
from typing import Any

import structlog
from structlog.tracebacks import ExceptionDictTransformer


def configure_logs(level: str, **bound: str) -> None:
    """Set up logging for this process; `bound` is part of every line (role, fleet, worker)."""
    numeric = logging.getLevelNamesMapping()[level.upper()]
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            # Where an error came from, and no variable of those places: in them are code, inputs, keys and credentials.
            structlog.processors.ExceptionRenderer(ExceptionDictTransformer(show_locals=False)),
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(numeric),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stdout),
        cache_logger_on_first_use=True,
    )
    structlog.contextvars.bind_contextvars(**bound)
    # Libraries' own records come out in the same form. Theirs are wanted only when something is wrong.
    handler = _ToStructlog()
    logging.basicConfig(level=max(numeric, logging.WARNING), handlers=[handler], force=True)


class _ToStructlog(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        log: Any = structlog.get_logger()
        log.log(record.levelno, "library_message", logger=record.name, message=record.getMessage())
