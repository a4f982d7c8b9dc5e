"""Logs: structlog on stderr, every line through the redaction funnel; also what Python would print by itself."""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Iterator, MutableMapping
from contextlib import suppress
from functools import partial
from typing import Any, TextIO, cast

import structlog

from core.errors import Problem
from core.redact import Redactor, clean_all, install, pg_error, visible
from core.settings import Settings

QUIET = ("slack_bolt", "slack_sdk", "apscheduler", "urllib3")
"""Libraries that log whole request bodies or every tick below this level."""
PLAIN = (ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, NameError, RuntimeError, TypeError)
"""Faults of our own, whose words name code. What others say (ValueError, UnicodeError, a driver) may quote a value."""


def set_up(settings: Settings) -> None:
    """One format for our lines and for the libraries'."""
    funnel = Redactor.of(settings)
    install(funnel)
    level, out = getattr(logging, settings.log_level.upper()), Unfailing(sys.stderr)

    def redacted(_: object, __: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        told: dict[str, Any] = clean_all(dict(event), funnel.redact)
        return {key: value if key == "exception" else one_line(value, funnel) for key, value in told.items()}

    last = (
        structlog.processors.JSONRenderer()
        if settings.log_format == "json"
        else structlog.dev.ConsoleRenderer(colors=False)
    )
    shared: list[Any] = [
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.ExceptionRenderer(lambda info: told(info[1])),
        redacted,
    ]
    structlog.configure(
        processors=[*shared, last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(cast(TextIO, out)),
    )
    handler = logging.StreamHandler(out)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, last], foreign_pre_chain=shared
        )
    )
    logging.basicConfig(handlers=[handler], level=level, force=True)
    for name in QUIET:
        logging.getLogger(name).setLevel(logging.ERROR)
    logging.captureWarnings(True)
    logging.raiseExceptions = False  # a line that cannot be written would be printed past the funnel
    uncaught = partial(structlog.get_logger().error, "bug")
    threading.excepthook = lambda args: uncaught(exc_info=args.exc_value)
    sys.unraisablehook = lambda args: uncaught(exc_info=args.exc_value)
    sys.excepthook = lambda kind, error, trace: uncaught(exc_info=error)  # what main does not catch


class Unfailing:
    """A stream that loses lines while it is full or gone, and stops nobody: a log is no reason to break off a rollback."""

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream

    def write(self, text: str) -> None:
        """As far as it goes."""
        with suppress(OSError, ValueError):
            self.stream.write(text)

    def flush(self) -> None:
        """As far as it goes."""
        with suppress(OSError, ValueError):
            self.stream.flush()


def one_line(value: object, funnel: Redactor) -> object:
    """A value as the renderers may print it: no text in it begins a line of its own, or asks an object how it looks."""
    if value is None or isinstance(value, (int, float, list, dict)):
        return value
    return visible(funnel.redact(str(value))).replace("\n", "\\n")


def told(error: BaseException | None) -> str:
    """A traceback without what may be content: where, of which kind, and words only where they are ours or the code's."""
    return "\n".join(reversed([part for one in chained(error) for part in reversed(lines(one))])) if error else ""


def chained(error: BaseException | None) -> Iterator[BaseException]:
    """The error, and what it came from."""
    while error is not None:
        yield error
        error = error.__cause__ or (None if error.__suppress_context__ else error.__context__)


def lines(error: BaseException) -> list[str]:
    """One error of the chain, with the places that it passed."""
    trace = "".join(traceback.format_tb(error.__traceback__)).rstrip("\n")
    return ["Traceback:", *([trace] if trace else []), f"{type(error).__name__}: {words(error)}"]


def words(error: BaseException) -> str:
    """What it says, where that holds no row, no path and no address."""
    import psycopg  # only where something broke: the shell must start fast

    if isinstance(error, psycopg.Error):
        return pg_error(error)
    if isinstance(error, OSError):
        return error.strerror or "no reason given"
    return str(error) if isinstance(error, (Problem, *PLAIN)) else "its words are not shown"
