"""Turns on the event loop: long work lets go of it every few milliseconds, so that a service answers meanwhile."""

import asyncio
import time
from collections.abc import Callable, Iterable
from typing import Final

TURN_SECONDS: Final = 0.01
"""How long one piece of work may have the loop."""


class Turn:
    """One piece of long work. Its turn begins when it is made, and again when others have had theirs."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        """`now` is in seconds and only grows."""
        self._now = now
        self._ends = now() + TURN_SECONDS

    async def let_others(self) -> None:
        """Lets others have their turn if this one is over."""
        if self._now() >= self._ends:
            await asyncio.sleep(0)
            self._ends = self._now() + TURN_SECONDS


async def in_turns(work: Iterable[None]) -> None:
    """Does the work to its end; wherever it yields, and then, others have their turn."""
    for _ in work:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
