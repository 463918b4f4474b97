"""Capture of log lines by the product's own logging configuration."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from telemetry import logging as logs
from telemetry.log_limit import LimitedHandler


def plain_logs() -> None:
    """Restore structlog's defaults, without the values of local variables in tracebacks: they may contain passwords."""
    structlog.reset_defaults()
    *first, _ = structlog.get_config()["processors"]
    shown = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*first, shown])


@contextmanager
def logs_written(level: str, service: str) -> Iterator[io.StringIO]:
    """Configure JSON logs, yield their stream, and restore the configuration afterwards."""
    written = io.StringIO()
    root = logging.getLogger()
    before, before_level = root.handlers[:], root.level
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(logs, "LimitedHandler", lambda _stream: LimitedHandler(written))
        logs.configure_logs(level, "json", service)
    try:
        yield written
    finally:
        root.handlers[:] = before
        root.setLevel(before_level)
        plain_logs()
