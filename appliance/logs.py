"""Logs: one JSON line per event, request and run ids bound by context, secrets and texts dropped.

Prompts, document text and keys are never passed to a logger; the redaction here is the second lock.
"""

import logging
import os
import shutil
import sys
import threading
import traceback
from collections.abc import MutableMapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import structlog

_SECRET_KEYS = frozenset(
    {"passphrase", "password", "key", "api_key", "token", "authorization", "cookie", "secret", "recovery_key"}
)
_TEXT_KEYS = frozenset({"text", "prompt", "query", "content", "quote", "passage", "messages"})

_FULL_BYTES = 20 * 1024 * 1024
_OLD = ".1"


def _redact(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    for name in list(event):
        if name.lower() in _SECRET_KEYS or name.lower() in _TEXT_KEYS:
            event[name] = "[redacted]"
    return event


def _trace(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace an exception by its type and places: its message may quote a document or a secret."""
    found = event.pop("exc_info", None)
    if found is True:
        found = sys.exc_info()[1]
    elif isinstance(found, tuple):
        found = found[1]
    if isinstance(found, BaseException):
        frames = traceback.extract_tb(found.__traceback__)
        event["exception"] = type(found).__name__
        event["trace"] = [f"{frame.filename}:{frame.lineno} {frame.name}" for frame in frames[-12:]]
    return event


def configure(process: str, level: str = "INFO") -> None:
    """Send this process's own and its libraries' records to stderr as JSON lines."""

    def name(_logger: object, _name: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
        event.setdefault("process", process)  # not bound by context, which new threads don't inherit
        return event

    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        _redact,
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                _trace,
                structlog.processors.JSONRenderer(ensure_ascii=False),
            ],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    logging.getLogger("httpx2").setLevel("WARNING")
    logging.getLogger("httpcore2").setLevel("WARNING")
    _take_over()


def _take_over() -> None:
    """What nobody catches comes here too: Python's own report would print the exception's words."""
    log = get(__name__)

    def report(where: str, error: BaseException | None) -> None:
        if error is not None:
            log.error("uncaught", where=where, exc_info=error)

    def in_main(kind: type[BaseException], error: BaseException, trace: Any) -> None:
        if issubclass(kind, KeyboardInterrupt):
            sys.__excepthook__(kind, error, trace)
        else:
            report("main", error)

    sys.excepthook = in_main
    threading.excepthook = lambda caught: report("thread", caught.exc_value)
    sys.unraisablehook = lambda caught: report("cleanup", caught.exc_value)


def rotate(file: Path, full_bytes: int = _FULL_BYTES) -> None:
    """Put a log that has grown too large aside, in place of the one put aside before.

    Its writers need not be told: they append, so they go on at the beginning of the emptied file. What they write
    in the moment between the copy and the emptying is lost, which is why this is done seldom.
    """
    with suppress(OSError):  # there is no log yet
        if file.stat().st_size < full_bytes:
            return
        old = file.with_name(file.name + _OLD)
        try:
            shutil.copyfile(file, old)
            old.chmod(0o600)
        except OSError:
            old.unlink(missing_ok=True)  # with a full disk, room is worth more than old lines
        os.truncate(file, 0)


def get(name: str) -> structlog.stdlib.BoundLogger:
    """A logger for a module: `log = logs.get(__name__)`; first argument an event name, the rest named values."""
    logger: structlog.stdlib.BoundLogger = structlog.stdlib.get_logger(name)
    return logger
