"""Turns on the event loop: long work lets go of it every few milliseconds, so that a service answers meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

TURN_SECONDS: Final = 0.01
"""How long one piece of work may have the loop."""


class Turn:
    """One piece of long work. Its turn begins when it is made, and again when others have had theirs."""

    def __init__(self, seconds: float = TURN_SECONDS, now: Callable[[], float] | None = None) -> None:
        """`seconds` is how long the work may have the loop; `now` is a monotonic clock in seconds."""
        self._seconds = seconds
        self._now = now or time.monotonic
        self.begin()

    async def let_others(self) -> None:
        """Lets others have their turn if this one is over."""
        if self._now() >= self._ends:
            await self._pause()
            self.begin()

    def begin(self) -> None:
        """Counts the turn from now on: the time before was not spent on the loop."""
        self._ends = self._now() + self._seconds

    async def _pause(self) -> None:
        await asyncio.sleep(0)


async def in_turns(work: Iterable[None]) -> None:
    """Does the work to its end; wherever it yields, and then, others have their turn."""
    for _ in work:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
