"""Long work on the event loop: it lets others have their turn, so that a service answers meanwhile."""

import asyncio
import time
from typing import Final

_SECONDS: Final = 0.02


class Turn:
    """One piece of long work, from when it began or others had their turn last; it holds the loop for about `seconds`."""

    def __init__(self, seconds: float = _SECONDS) -> None:
        self._seconds = seconds
        self.begin()

    async def let_others(self) -> None:
        """Lets others have their turn if this work has had the loop for long."""
        if time.monotonic() - self._began > self._seconds:
            await self._pause()
            self.begin()

    def begin(self) -> None:
        """Counts the work's time from now on: what went before was not spent on the loop."""
        self._began = time.monotonic()

    async def _pause(self) -> None:
        await asyncio.sleep(0)
