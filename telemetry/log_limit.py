"""A rate limit for equal log lines, as in an outage: some are written each minute, the others only counted."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TextIO

MOST_A_MINUTE: Final = 30
_MINUTE_SECONDS: Final = 60.0
# The most kinds of lines that are counted separately. A caller that formats values into messages makes many kinds.
_MOST_KINDS: Final = 500
_KEPT_BACK: Final = "lines_kept_back"
_NOT_WRITTEN: Final = "line_not_written"


class _Kind(NamedTuple):
    """The kind of a log line: logger, level, and message without values. Lines of one kind count as equal."""

    logger: str
    level: int
    message: str


class _Minute:
    """How many log lines of one kind were written, and how many suppressed, in the minute that began at `began`."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.written = 0
        self.kept_back = 0


class LimitedHandler(logging.StreamHandler[TextIO]):
    """A log handler that writes equal warnings or errors at most MOST_A_MINUTE times a minute.

    After the minute the handler writes how many lines it has suppressed. Lines below the level warning are never
    suppressed, because each occurs only once. Critical lines are never suppressed, because the process ends after one.
    """

    def __init__(self, stream: TextIO, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__(stream)
        self._monotonic = monotonic
        self._minutes: dict[_Kind, _Minute] = {}

    def emit(self, record: logging.LogRecord) -> None:
        now = self._monotonic()
        self._tell_counts(now)
        if logging.WARNING <= record.levelno < logging.CRITICAL:
            kind = _kind(record)
            if kind not in self._minutes and len(self._minutes) >= _MOST_KINDS:
                kind = kind._replace(message="")
            minute = self._minutes.setdefault(kind, _Minute(now))
            if minute.written >= MOST_A_MINUTE:
                minute.kept_back += 1
                return
            minute.written += 1
        super().emit(record)

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # the name that `logging` calls
        """Log that a line could not be formatted.

        The default of `logging` would print the line's arguments without redaction.
        """
        error = sys.exception()
        # A closed or broken stream accepts no further line.
        if not isinstance(error, OSError) and not self.stream.closed and record.msg != _NOT_WRITTEN:
            kind = _kind(record)
            self._say(_NOT_WRITTEN, kind._replace(level=logging.ERROR), error=type(error).__name__)

    def close(self) -> None:
        """Write the counts of suppressed lines, then close the handler."""
        self._tell_counts(float("inf"))
        super().close()

    def _tell_counts(self, now: float) -> None:
        """For each kind of line whose minute is over, write how many lines were suppressed, if any were."""
        over = [kind for kind, minute in self._minutes.items() if now - minute.began >= _MINUTE_SECONDS]
        for kind in over:
            minute = self._minutes.pop(kind)
            if minute.kept_back:
                self._say(_KEPT_BACK, kind, count=minute.kept_back)

    def _say(self, message: str, kind: _Kind, **more: object) -> None:
        """Write a line about suppressed lines of this kind."""
        line = {
            "name": kind.logger,
            "levelno": kind.level,
            "levelname": logging.getLevelName(kind.level),
            "msg": message,
        }
        super().emit(logging.makeLogRecord(line | {"of": kind.message} | more))


def _kind(record: logging.LogRecord) -> _Kind:
    # Before it is formatted, a structlog record's message is a dictionary, and another library's message is a template.
    message = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
    return _Kind(record.name, record.levelno, str(message)[:100])
