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
"""Most items that the replays of an organisation have in flight: claimed, and not committed yet."""
TURN_BYTES: Final = 1024 * 1024
"""Most bytes of the items that are read for one turn, if it has more than one."""
TURN_SECONDS: Final = 10.0
"""Time, in seconds, in which none of the items in flight is committed before the run asks whether they stand still."""
_FIRST_LOOK_SECONDS: Final = 0.02


async def _ends(_left: int) -> bool:
    return True


async def turn_ended(
    in_flight: Callable[[], Awaitable[int]], look: Look, stands_still: Callable[[int], Awaitable[bool]] = _ends
) -> int:
    """Wait until `in_flight` returns 0, or the same number for TURN_SECONDS if that `stands_still`; return the number.

    `in_flight` returns the number of items that are not committed yet. Raises the errors of `look`.
    """
    before, deadline, seconds = 0, 0.0, _FIRST_LOOK_SECONDS
    asked = time.monotonic()
    while left := await in_flight():
        now = time.monotonic()
        # To count takes database time that the workers need to commit the items.
        pause = max(seconds, 3 * (now - asked))
        if left != before:
            before, deadline = left, now + TURN_SECONDS
        elif now > deadline:
            if await stands_still(left):
                return left
            deadline = now + TURN_SECONDS
        await asyncio.sleep(pause)
        seconds = min(2 * seconds, LOOK_SECONDS)
        await look()
        asked = time.monotonic()
    return 0


class Pace:
    """Send rate of a replay. `rate` is in items a second, 0 means no limit. `monotonic` returns a time in seconds."""

    def __init__(self, rate: float, monotonic: Callable[[], float]) -> None:
        self._rate = rate
        self._monotonic = monotonic
        self._began = monotonic()
        self._sent = 0

    def batch(self, most: int) -> int:
        """Return the number of items that the next batch may contain; more if the replay is behind its rate."""
        if not self._rate:
            return most
        behind = (self._monotonic() - self._began) * self._rate - self._sent
        return max(1, min(most, int(max(self._rate / _BATCHES_A_SECOND, behind))))

    def sent(self, count: int) -> None:
        """Count items that were sent."""
        self._sent += count

    def seconds_to_wait(self) -> float:
        """Return the seconds until the next batch may be sent; 0 or less if it may be sent now."""
        return 0.0 if not self._rate else self._began + self._sent / self._rate - self._monotonic()

    def per_second(self) -> float:
        """Return the items sent per second so far."""
        return self._sent / max(self._monotonic() - self._began, 1e-9)
