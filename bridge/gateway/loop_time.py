"""A clock that leaves out the time in which the event loop was late."""

import asyncio
from typing import Final

_TICK_SECONDS: Final = 0.1


class LoopTime:
    """Seconds for which the event loop has run, counted by a timer.

    Each time that the loop gets to the timer counts as at most a tenth of a second. A time-out by this clock does not
    end while the process waits for a processor, or works for others: what it waits for may have arrived unread.
    """

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._seconds = 0.0
        self._at = self._loop.time()
        self._tick()

    def now(self) -> float:
        """Return the seconds since this clock began."""
        return self._seconds + min(self._loop.time() - self._at, _TICK_SECONDS)

    def close(self) -> None:
        """Stop the timer."""
        self._timer.cancel()

    def _tick(self) -> None:
        self._seconds, self._at = self.now(), self._loop.time()
        self._timer = self._loop.call_later(_TICK_SECONDS, self._tick)
