"""The loop's time for what requests cost it: long work goes one request after another, in slices, and is charged."""

import asyncio
import time
from typing import Final, Self

from bridge.gateway.allowances import Bill
from sinks.turn import Turn

SLICE_SECONDS: Final = 0.005
_BYTES_A_SECOND: Final = 64 * 1024 / SLICE_SECONDS
"""What a second of the loop is charged as: an event of 64 KiB may cost a slice, and a plain body costs far less."""


class Line:
    """Where requests of one class of sender wait: between two turns of the others, one of them works for a slice."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    def work(self, bill: Bill) -> "Work":
        """A request's work, charged to its bill: a context whose end lets the next one go on."""
        return Work(self._lock, bill)


class Work(Turn):
    """The work of one request: the first slice at once, so that a small request waits for nobody; the rest in line."""

    def __init__(self, lock: asyncio.Lock, bill: Bill) -> None:
        self.bill = bill
        self._lock = lock
        self._first = False
        self._used: float | None = None
        super().__init__(SLICE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Counts the work's time from now on."""
        super().begin()
        self._used = time.thread_time()

    async def stand_in_line(self) -> None:
        """For work that is known to be long: waits until it is this request's turn."""
        if not self._first:
            self._charge()
            await self._lock.acquire()
            self._first = True
            self.begin()

    def end(self) -> None:
        """Lets the next one go on: the request waits for something else, or is answered or refused."""
        self._charge()
        self._used = None
        if self._first:
            self._first = False
            self._lock.release()

    def _charge(self) -> None:
        """Charges the loop's time since the work began or was charged, unless it waits for something else."""
        if self._used is not None:
            used = time.thread_time()
            self.bill.charge(int((used - self._used) * _BYTES_A_SECOND))
            self._used = used

    async def _pause(self) -> None:
        self._charge()
        await self.stand_in_line()
        await asyncio.sleep(0)
