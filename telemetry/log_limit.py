"""Keeps an outage from flooding the log: of equal lines so many a minute, then their count."""

import logging
import sys
import time
from collections.abc import Callable
from typing import Final, NamedTuple, TextIO

MOST_A_MINUTE: Final = 30
_MINUTE_SECONDS: Final = 60.0
# More kinds of lines than this are no longer told apart: whoever puts a value into a message makes a kind of each.
_MOST_KINDS: Final = 500
_KEPT_BACK: Final = "lines_kept_back"
_NOT_WRITTEN: Final = "line_not_written"


class _Kind(NamedTuple):
    """What makes two lines equal: who said it, how loud, and the message without its values."""

    logger: str
    level: int
    message: str


class _Minute:
    """How many lines of one kind were written and kept back since `began`."""

    def __init__(self, began: float) -> None:
        self.began = began
        self.written = 0
        self.kept_back = 0


class LimitedHandler(logging.StreamHandler[TextIO]):
    """Writes each warning or error at most MOST_A_MINUTE times a minute, and then how many more there were.

    What is less than a warning is told once by whoever tells it, and what is critical ends the process: neither is
    ever kept back.
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

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802  # as logging calls it
        """Tells that a line could not be made; logging itself would print its arguments as they are, secrets and all."""
        error = sys.exception()
        # Nothing can be told to a stream that is gone.
        if not isinstance(error, OSError) and not self.stream.closed and record.msg != _NOT_WRITTEN:
            kind = _kind(record)
            self._say(_NOT_WRITTEN, kind._replace(level=logging.ERROR), error=type(error).__name__)

    def close(self) -> None:
        """Tells what is still to be told."""
        self._tell_counts(float("inf"))
        super().close()

    def _tell_counts(self, now: float) -> None:
        """Ends the minutes that are over, with a line for each that kept something back."""
        over = [kind for kind, minute in self._minutes.items() if now - minute.began >= _MINUTE_SECONDS]
        for kind in over:
            minute = self._minutes.pop(kind)
            if minute.kept_back:
                self._say(_KEPT_BACK, kind, count=minute.kept_back)

    def _say(self, message: str, kind: _Kind, **more: object) -> None:
        """A line of our own about lines of that kind."""
        line = {
            "name": kind.logger,
            "levelno": kind.level,
            "levelname": logging.getLevelName(kind.level),
            "msg": message,
        }
        super().emit(logging.makeLogRecord(line | {"of": kind.message} | more))


def _kind(record: logging.LogRecord) -> _Kind:
    # A structlog line is its dictionary until it is formatted, another library's its template.
    message = record.msg.get("event", "") if isinstance(record.msg, dict) else record.msg
    return _Kind(record.name, record.levelno, str(message)[:100])
