"""Send rate of a replay, in items (dead letters) a second. Batches are small, so the replay can stop between two.

With or without a rate, a replay sends turns of at most 200 items. It sends the next turn when the workers have
committed the previous turn. Events of other senders therefore wait behind at most one turn.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import Final

from bridge.jobs.looks import LOOK_SECONDS, Look

_BATCHES_A_SECOND: Final = 4
TURN: Final = 200
"""Most items that a replay has in flight: sent, and not committed yet."""
TURN_BYTES: Final = 8 * 1024 * 1024
"""A turn ends with the batch that reaches this size. The batch itself has at most 8 MiB, or one item."""
TURN_SECONDS: Final = 10.0
"""Longest wait, in seconds, while none of the items in flight is committed. So one paused partition can't stop the replay."""
_FIRST_LOOK_SECONDS: Final = 0.02


async def turn_ended(in_flight: Callable[[], Awaitable[int]], look: Look) -> None:
    """Wait until `in_flight` returns 0, or the same number for TURN_SECONDS; raises the errors of `look`.

    `in_flight` returns the number of items of the last turn (one or several batches of a replay) that are not committed
    yet.
    """
    before, deadline, seconds = 0, 0.0, _FIRST_LOOK_SECONDS
    while left := await in_flight():
        if left != before:
            before, deadline = left, time.monotonic() + TURN_SECONDS
        elif time.monotonic() > deadline:
            return
        await asyncio.sleep(seconds)
        seconds = min(2 * seconds, LOOK_SECONDS)
        await look()


class Pace:
    """Send rate of a replay. `rate` is in items a second, 0 means no limit. `monotonic` returns a time in seconds."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._began = monotonic()
        self._sent = 0

    def batch(self, most: int) -> int:
        """Return the number of items that the next batch may contain."""
        return most if not self._rate else max(1, min(most, int(self._rate / _BATCHES_A_SECOND)))

    def sent(self, count: int) -> None:
        """Count items that were sent."""
        self._sent += count

    def seconds_to_wait(self) -> float:
        """Return the seconds until the next batch may be sent; 0 or less if it may be sent now."""
        return 0.0 if not self._rate else self._began + self._sent / self._rate - self._monotonic()

    def per_second(self) -> float:
        """Return the items sent per second so far."""
        return self._sent / max(self._monotonic() - self._began, 1e-9)
