"""Logging for this and other libraries: structlog on standard error, as JSON lines unless it is a terminal."""

import json
import logging
import sys
import threading
from collections.abc import Callable
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from telemetry.log_limit import LimitedHandler
from telemetry.printable import printable, printable_json
from telemetry.redaction import masked

# Names that operators know from other systems: a run is a job, and its id correlates lines that have no request.
_ALSO_AS = (("job_id", "run_id"), ("correlation_id", "run_id"))
# Only tracebacks span several lines. Line breaks in every other field are escaped.
_OF_SEVERAL_LINES: Final = ("exception", "stack")
_QUIET = ("aiokafka", "mode", "faust", "kafka", "asyncio")


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Redact secrets in every field of every logger's lines, as the last step before a line is written."""
    return {name: masked(value, name) for name, value in event.items()}


def harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Escape control characters that move a terminal's cursor or change its colours, for untrusted text."""
    return {
        name: printable(value, keep="\n" if name in _OF_SEVERAL_LINES else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def calmer(record: logging.LogRecord) -> bool:
    """Accept every log line, but make errors that aiokafka retries warnings, because each first start has some."""
    if record.levelno == logging.ERROR and record.name.startswith("aiokafka") and isinstance(record.args, tuple):
        # The error is checked by an attribute, because importing aiokafka's errors takes longer than most commands run.
        retriable = [one.retriable for one in record.args if isinstance(one, Exception) and hasattr(one, "retriable")]
        if retriable and all(retriable):
            record.levelno, record.levelname = logging.WARNING, logging.getLevelName(logging.WARNING)
    return True


def _log_what_escapes() -> None:
    """Log Python's warnings, and the errors that end a thread or a finalizer."""
    logging.captureWarnings(True)

    def hook(logger: str, event: str) -> Callable[[Any], None]:
        def log_error(ended: Any) -> None:
            error = (ended.exc_type, ended.exc_value or ended.exc_type(), ended.exc_traceback)
            logging.getLogger(logger).error(event, exc_info=error)

        return log_error

    # Hooks that are replaced already, as in tests, stay.
    if threading.excepthook is threading.__excepthook__:
        threading.excepthook = hook("threading", "thread_failed")
    if sys.unraisablehook is sys.__unraisablehook__:
        sys.unraisablehook = hook("gc", "finalizer_failed")


def _json_line(event: EventDict, **options: Any) -> str:
    return printable_json(json.dumps(event, ensure_ascii=False, **options), sys.stderr.encoding or "utf-8")


def configure_logs(
    level: str = "INFO",
    form: str = "auto",
    service: str = "bridge",
    *,
    report: Processor | None = None,
    process: int | None = None,
) -> None:
    """Set up logging for this process. `form` is auto, json or console. `service` is written as a field of every line.

    `report` is a structlog processor that gets each line after its redaction. `process` is the number of this process,
    a field of every line, if the command has several.
    """
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())

    def named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
        if process is not None:
            event.setdefault("process", process)
        for name, source in _ALSO_AS:
            if source in event:
                event.setdefault(name, event[source])
        return event

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="timestamp"),
        named,
        structlog.processors.format_exc_info,
    ]
    if as_json:
        rendered: list[Processor] = [structlog.processors.JSONRenderer(_json_line)]
    else:
        rendered = [harmless, structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())]
    structlog.configure(
        processors=[
            structlog.stdlib.filter_by_level,
            *shared,
            structlog.stdlib.ProcessorFormatter.wrap_for_formatter,
        ],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = LimitedHandler(sys.stderr)
    handler.addFilter(calmer)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask,
                *([] if report is None else [report]),
                *rendered,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    _log_what_escapes()
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
