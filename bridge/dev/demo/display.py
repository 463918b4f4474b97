"""Progress of a run on standard error: a live table on a terminal, otherwise a plain line each second."""

import sys
import time
from types import TracebackType
from typing import Self

from rich.live import Live

from bridge.dev.demo.figures import Counts
from bridge.output.tables import SafeConsole, Table
from telemetry.terminal import say

_LINE_SECONDS = 1.0


class Display:
    """A context that displays each state that it is given."""

    def __init__(self, total: int) -> None:
        self._total = total
        self._live: Live | None = None
        self._last: tuple[float, int] = (time.monotonic(), 0)
        self._rate = 0
        if sys.stderr.isatty():
            self._live = Live(console=SafeConsole(stderr=True), transient=True, auto_refresh=False)

    def __enter__(self) -> Self:
        if self._live is not None:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live is not None:
            self._live.stop()

    def show(self, sent: int, progress: Counts) -> None:
        """Display the run's progress: on a terminal at every call, otherwise as one line each second.

        `sent` is the number of events that Kafka has acknowledged.
        """
        now = time.monotonic()
        then, read = self._last
        due = now - then >= _LINE_SECONDS
        if due:
            self._rate = round((progress.read - read) / (now - then))
            self._last = (now, progress.read)
        if self._live is not None:
            self._live.update(self._table(sent, progress), refresh=True)
        elif due:
            say(
                f"in {sent}/{self._total}, read {progress.read}, normalised {progress.normalized}, "
                f"retried {progress.retried}, dropped {progress.dropped}, waiting {progress.waiting}, "
                f"{self._rate} events/s"
            )

    def _table(self, sent: int, progress: Counts) -> Table:
        columns = ("read", "normalised", "retried", "dropped", "waiting", "events/s")
        figures = (progress.read, progress.normalized, progress.retried, progress.dropped, progress.waiting, self._rate)
        table = Table(*columns, title=f"{sent} of {self._total} events in Kafka")
        for column in table.columns:
            column.justify, column.min_width = "right", 10
        table.add_row(*(f"{figure:,}" for figure in figures))
        return table
