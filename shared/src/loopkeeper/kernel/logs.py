"""What does the program say about itself? One JSON line per fact on stderr: a constant text, and values by allow-list.

Whatever comes in, from our own code or a library, the last step keeps only the keys named here. An exception gives
its type and where it arose, never its words: they may quote what somebody sent.
"""

from __future__ import annotations

import logging
import sys
import threading
import traceback
from collections.abc import Mapping, MutableMapping
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from types import TracebackType
from typing import Any, cast
from uuid import UUID

import orjson
import structlog
from structlog.typing import FilteringBoundLogger, WrappedLogger

# The only keys that leave the process. Ids, codes, counts and places in the program; nothing a person wrote.
# fmt: off
ALLOWED = frozenset(
    (
        "at", "level", "module", "message", "service", "referral", "kind", "type", "command", "outcome",
        "status", "claim", "event_id", "causation", "stream", "n", "partition", "offset", "position",
        "subscription", "delivery", "attempt", "tries", "task", "reason", "slug", "error", "cause",
        "frames", "where", "trace_id", "request_id", "method", "route", "seconds", "count", "applied",
        "left", "bytes", "lag", "revision", "signal", "pid", "port", "organization", "client", "fix",
        "generation", "lost", "publisher", "queued", "rebuilt", "file", "row", "rows", "fact", "table",
        "report",
    )
)
# fmt: on
LONGEST = 200
# A message is our own sentence.
LONGEST_MESSAGE = 500
MOST_ITEMS = 16
MOST_FRAMES = 8
# Libraries whose messages begin with a constant line. Others are known only by where they spoke.
CONSTANT = ("uvicorn", "asyncio", "alembic")
# A library that meets the same trouble again and again is heard once in so many seconds: twenty restarts of a broker
# wrote thirty thousand lines.
ONCE_IN = 10.0

Line = MutableMapping[str, Any]


def get(name: str) -> FilteringBoundLogger:
    """The logger of one module. Before `configure` it writes warnings and errors only, by the same allow-list."""
    if not structlog.is_configured():
        _configure_structlog("", "WARNING")
    return cast("FilteringBoundLogger", structlog.get_logger(module=name))


def configure(service: str, level: str) -> None:
    """Write from `level` upwards with `service` on every line, and bring the libraries' loggers the same way."""
    _configure_structlog(service, level)
    root = logging.getLogger()
    root.handlers[:] = [_Libraries()]
    # What libraries tell at INFO is about themselves.
    root.setLevel(logging.WARNING)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        # A server started from outside brings handlers of its own, and a line for every address asked.
        logging.getLogger(name).handlers.clear()
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    logging.getLogger("uvicorn.access").propagate = False
    sys.excepthook = _unhandled
    threading.excepthook = lambda args: _unhandled(args.exc_type, args.exc_value, args.exc_traceback)


def places(error: BaseException) -> list[str]:
    """Where an exception arose, outermost call first: `file.py:line`, nothing of what it said."""
    frames = traceback.extract_tb(error.__traceback__)[-MOST_FRAMES:]
    return [f"{Path(frame.filename).name}:{frame.lineno}" for frame in frames]


def _configure_structlog(service: str, level: str) -> None:
    def stamped(_: WrappedLogger, method: str, line: Line) -> Line:
        line["at"] = datetime.now(UTC).isoformat(timespec="milliseconds")
        line["level"] = "error" if method == "exception" else method
        if service:
            line.setdefault("service", service)
        return line

    structlog.configure(
        processors=[stamped, _without_words, _allowed, _rendered],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=_Stderr,
        cache_logger_on_first_use=False,
    )


def _without_words(_: WrappedLogger, __: str, line: Line) -> Line:
    """An exception becomes its type, that of its cause, and where it arose."""
    found = line.pop("exc_info", None)
    if isinstance(found, tuple):
        found = cast("tuple[Any, ...]", found)[1]
    error = sys.exc_info()[1] if found is True else found
    if isinstance(error, BaseException):
        line.setdefault("error", type(error).__name__)
        line["frames"] = places(error)
        if error.__cause__ is not None:
            line["cause"] = type(error.__cause__).__name__
    return line


def _allowed(_: WrappedLogger, __: str, line: Line) -> Line:
    message = str(line.pop("event", ""))[:LONGEST_MESSAGE]
    return {key: _plain(value) for key, value in line.items() if key in ALLOWED} | {"message": message}


def _plain(value: object) -> object:
    """A value as JSON, bounded. What is neither a number, a text nor a time is told by its type only."""
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, str | UUID | Path):
        return str(value)[:LONGEST]
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if isinstance(value, list | tuple):
        return [_plain(item) for item in cast("list[object]", value)[:MOST_ITEMS]]
    return type(value).__name__


def _rendered(_: WrappedLogger, __: str, line: Mapping[str, Any]) -> str:
    first = {key: line[key] for key in ("at", "level", "message") if key in line}
    return orjson.dumps({**first, **line}).decode()


class _Stderr:
    """Writes whole lines to whatever standard error is at that moment."""

    def __init__(self, *_: object) -> None:
        pass

    def msg(self, message: str) -> None:
        sys.stderr.write(message + "\n")
        sys.stderr.flush()

    debug = info = warning = error = critical = exception = msg


class _Libraries(logging.Handler):
    """The way of the standard library's loggers into ours: the template of a message, never what was filled in. Each
    place in a library is heard once in a while, with how often it spoke since."""

    def __init__(self) -> None:
        super().__init__()
        self._heard: dict[tuple[str, int], tuple[float, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        line: dict[str, Any] = {"module": record.name, "where": f"{record.filename}:{record.lineno}"}
        heard_at, unheard = self._heard.get(place := (record.pathname, record.lineno), (0.0, 0))
        if record.created - heard_at < ONCE_IN:
            self._heard[place] = (heard_at, unheard + 1)
            return
        self._heard[place] = (record.created, 0)
        if unheard:
            line["count"] = unheard + 1
        if record.exc_info:
            line["exc_info"] = record.exc_info
        method = getattr(structlog.get_logger(), record.levelname.lower(), None)
        if method is not None:
            method(_template(record), **line)


def _template(record: logging.LogRecord) -> str:
    """What the library's author wrote. A text without arguments may have been filled in before it came here."""
    text = str(record.msg)
    known = record.name.partition(".")[0] in CONSTANT
    return text.partition("\n")[0] if record.args or known else "a library spoke"


def _unhandled(kind: type[BaseException], error: BaseException | None, _: TracebackType | None) -> None:
    if error is not None and not issubclass(kind, KeyboardInterrupt | SystemExit):
        structlog.get_logger(module="program").error("unhandled", exc_info=error)
