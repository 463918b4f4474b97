"""Turns on the event loop: long work lets go of it every few milliseconds, so that a service answers meanwhile."""

import asyncio
import time
from collections.abc import Callable, Generator, Iterable
from typing import Final, TypeVar

T = TypeVar("T")

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
        if self.is_over:
            await self._pause()
            self.begin()

    @property
    def is_over(self) -> bool:
        """Whether the work has had the loop for as long as it may."""
        return self._now() >= self._ends

    def begin(self) -> None:
        """Counts the turn from now on: the time before was not spent on the loop."""
        self._ends = self._now() + self._seconds

    def spent(self, seconds: float) -> None:
        """Counts so many seconds that the work had the loop for before its turn began."""
        self._ends -= seconds

    async def _pause(self) -> None:
        await asyncio.sleep(0)


class Share:
    """Long work of several askers, which together have a part of the loop's time, at most half by default.

    A turn to each of them would leave the others one turn in many.
    """

    def __init__(self, now: Callable[[], float] | None = None, *, rest: float = 1.0) -> None:
        """`now` is a monotonic clock in seconds; `rest` is how long others have the loop for each second of the work."""
        self._now = now or time.monotonic
        self._rest = rest
        self._one = asyncio.Lock()
        self._spent = 0.0

    async def do(self, work: Callable[[], object]) -> None:
        """Does the work when it is its turn; then, once a turn's time is spent, others have the loop."""
        async with self._one:
            began = self._now()
            try:
                work()
            finally:
                self._spent += self._now() - began
            if self._spent >= TURN_SECONDS:
                seconds, self._spent = self._spent * self._rest, 0.0
                await asyncio.sleep(seconds)

    async def finish(self, work: Generator[None, None, T]) -> T:
        """Does work in pieces to its end, and returns what it comes to; others may have a turn after each piece."""
        ended: list[T] = []

        def piece() -> None:
            try:
                next(work)
            except StopIteration as end:
                ended.append(end.value)

        while not ended:
            await self.do(piece)
        return ended[0]


def unshared() -> Share:
    """For a process that does nothing else."""
    return Share(rest=0.0)


async def in_turns(work: Iterable[None]) -> None:
    """Does the work to its end; wherever it yields, and then, others have their turn."""
    for _ in work:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
