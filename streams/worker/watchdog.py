"""The watchdog, which ends a worker that makes no progress although records wait. A restart replaces a stuck client."""

import asyncio
import os
import threading
import time
from collections.abc import Callable, Sequence

from schemas.errors import InvariantViolation
from streams.worker.lane import Lane
from telemetry.terminal import say

EXIT_CODE = 70


class Watchdog:
    """A check that the worker's lanes (its tasks that commit batches) make progress within `budget` seconds.

    From a thread of its own, it also checks that the event loop is not blocked.
    """

    def __init__(self, lanes: Callable[[], Sequence[Lane]], budget: float) -> None:
        self._lanes = lanes
        self._budget = budget
        self._beat = time.monotonic()
        self._closed = threading.Event()

    async def watch(self, fail: Callable[[BaseException], None]) -> None:
        """Check until cancelled. `fail` is called once, with the error, if tasks of the worker make no progress."""
        self._beat = time.monotonic()
        threading.Thread(target=self._watch_loop, name="watchdog", daemon=True).start()
        while True:
            await asyncio.sleep(self._budget / 20)
            self._beat = time.monotonic()
            last = self._beat - self._budget
            stuck = [lane.name for lane in self._lanes() if not lane.waiting and lane.progressed_at < last]
            if stuck:
                what = f"no progress for {self._budget:.0f} s although records are waiting"
                fail(InvariantViolation(f"{what}, in lane {', '.join(stuck)}"))
                return

    def close(self) -> None:
        """End the thread."""
        self._closed.set()

    def _watch_loop(self) -> None:
        while not self._closed.wait(self._budget / 10):
            if time.monotonic() - self._beat > 2 * self._budget:
                say(f"the event loop has been blocked for {2 * self._budget:.0f} s; ending")
                os._exit(EXIT_CODE)
