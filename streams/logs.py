"""Logging: structlog on standard error, JSON lines unless on a terminal, other libraries' loggers through the same pipe."""

import json
import logging
import sys
from typing import Any, Final

import structlog
from structlog.typing import EventDict, Processor, WrappedLogger

from schemas.masking import masked
from schemas.printable import printable, printable_json
from streams.log_limit import LimitedHandler

# What operators search by who know other systems' names: a run is a job, and correlates its lines if no request does.
_ALSO_AS = (("job_id", "run_id"), ("correlation_id", "run_id"))
# Tracebacks: whatever else has a line break in it is one line of the log.
_OF_SEVERAL_LINES: Final = ("exception", "stack")
_QUIET = ("aiokafka", "mode", "faust", "kafka", "asyncio")


def mask(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """The last thing before a line is written: nothing that must not be told is in it, whoever logged it."""
    return {name: masked(value, name) for name, value in event.items()}


def harmless(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
    """Texts of strangers for a terminal: what would move its cursor or change its colours is written out."""
    return {
        name: printable(value, keep="\n" if name in _OF_SEVERAL_LINES else "") if isinstance(value, str) else value
        for name, value in event.items()
    }


def _json_line(event: EventDict, **options: Any) -> str:
    return printable_json(json.dumps(event, ensure_ascii=False, **options))


def configure_logs(
    level: str = "INFO", form: str = "auto", service: str = "bridge", *, report: Processor | None = None
) -> None:
    """Sets up logging for this process; `form` is auto, json or console, `service` stands in every line.

    `report` sees each line that is written as it is written: masked.
    """
    as_json = form == "json" or (form == "auto" and not sys.stderr.isatty())

    def named(_logger: WrappedLogger, _method: str, event: EventDict) -> EventDict:
        event.setdefault("service", service)
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
    renderer: Processor = (
        structlog.processors.JSONRenderer(_json_line)
        if as_json
        else structlog.dev.ConsoleRenderer(colors=sys.stderr.isatty())
    )
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
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                mask,
                *([] if report is None else [report]),
                *([] if as_json else [harmless]),
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in _QUIET:
        logging.getLogger(name).setLevel(max(logging.WARNING, logging.getLevelNamesMapping()[level]))
