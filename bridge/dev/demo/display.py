"""Progress of a run on standard error: a live table on a terminal, otherwise a plain line each second."""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

from rich.live import Live

from bridge.dev.demo.figures import Counts
from bridge.output.tables import SafeConsole, Table
from telemetry.terminal import say

_LINE_SECONDS = 1.0


@contextmanager
def displaying(total: int) -> Iterator["Display"]:
    """Yield a display of a run of `total` events. Within the block, a terminal shows the live table."""
    if not sys.stderr.isatty():
        yield Display(total, None)
        return
    with Live(console=SafeConsole(stderr=True), transient=True, auto_refresh=False) as live:
        yield Display(total, live)


class Display:
    """Displays each state that it is given, in the live table `live` if there is one."""

    def __init__(self, total: int, live: Live | None) -> None:
        self._total = total
        self._live = live
        self._last: tuple[float, int] = (time.monotonic(), 0)
        self._rate = 0

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
