"""What the product's own set-up of logs writes."""

import io
import logging
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import structlog

from telemetry import logging as logs
from telemetry.log_limit import LimitedHandler


def plain_logs() -> None:
    """Takes a set-up back to structlog's own, but for the values of local variables, addresses with passwords among them,
    that it shows beside a traceback."""
    structlog.reset_defaults()
    *first, _ = structlog.get_config()["processors"]
    shown = structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
    structlog.configure(processors=[*first, shown])


@contextmanager
def logs_written(level: str, service: str) -> Iterator[io.StringIO]:
    """The lines as JSON; afterwards the set-up is taken back."""
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
