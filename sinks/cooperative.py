"""Turns on the event loop: long work lets go of it every few milliseconds, so that a service answers meanwhile."""

import asyncio
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from copy import copy
from typing import Final, TypeVar

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""How long one piece of work may have the loop."""

_PIECE: Final = 500


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
    """A part of the loop's time, at most half by default, for the long work of several tasks together.

    Organisations take turns at it, and so do the tasks of one: the next turn is that of the one with the least time so
    far, of those that ask. What is done for no organisation counts as one more. A turn to each task would leave the others one turn
    in many, and organisations with few tasks or short pieces of work behind one with many or long ones.
    """

    def __init__(self, now: Callable[[], float] | None = None, *, rest: float = 1.0) -> None:
        """`now` is a monotonic clock in seconds; `rest` is how long others have the loop for each second of the work."""
        self._divided = _Divided(now or time.monotonic, rest)
        self.org: Hashable = None
        """For whom the work is done."""

    def of(self, org: Hashable) -> "Share":
        """The same part of the loop's time for one more task, which is done for this organisation, or for none: None."""
        task = copy(self)
        task.org = org
        return task

    async def do(self, work: Callable[[], object]) -> None:
        """Does the work when it is its turn; then, once a turn's time is spent, others have the loop."""
        await self._divided.begin(self.org, self)
        try:
            work()
        finally:
            self._divided.end(self.org, self)

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


class _Divided:
    """Whose turn it is, of those that wait."""

    def __init__(self, now: Callable[[], float], rest: float) -> None:
        self._now = now
        self._rest = rest
        self._in_hand = False
        """Whether a task works, or others have the loop."""
        self._began = 0.0
        self._spent = 0.0
        self._waiting: list[tuple[Hashable, Hashable, asyncio.Future[None]]] = []
        self._orgs = _Used()
        self._tasks: dict[Hashable, _Used] = {}

    async def begin(self, org: Hashable, task: Hashable) -> None:
        """Waits for a turn, unless none is taken."""
        if self._in_hand:
            turn = asyncio.get_running_loop().create_future()
            self._waiting.append((org, task, turn))
            try:
                await turn
            except asyncio.CancelledError:
                if not turn.cancelled():
                    self._give()
                raise
        self._in_hand = True
        self._orgs.begin(org)
        self._tasks.setdefault(org, _Used()).begin(task)
        self._began = self._now()

    def end(self, org: Hashable, task: Hashable) -> None:
        """Counts what the turn took, and gives the next one when it is time."""
        took = self._now() - self._began
        self._orgs.add(org, took)
        self._tasks[org].add(task, took)
        self._tasks = {one: tasks for one, tasks in self._tasks.items() if one in self._orgs}
        self._spent += took
        loop = asyncio.get_running_loop()
        if self._spent >= TURN_SECONDS:
            seconds, self._spent = self._spent * self._rest, 0.0
            loop.call_later(seconds, self._give)
        elif self._waiting:
            # The task that has just had a turn asks for its next one before.
            loop.call_soon(self._give)
        else:
            self._in_hand = False

    def _give(self) -> None:
        self._waiting = [one for one in self._waiting if not one[2].done()]
        self._in_hand = bool(self._waiting)
        if self._waiting:
            _, _, turn = min(self._waiting, key=lambda one: self._used(one[0], one[1]))
            turn.set_result(None)

    def _used(self, org: Hashable, task: Hashable) -> tuple[float, float]:
        tasks = self._tasks.get(org)
        return self._orgs.of(org), 0.0 if tasks is None else tasks.of(task)


class _Used:
    """The seconds that names have had. One that has not asked for a while counts like the one that had its turn last.

    So time is not saved up, and what a name had while no other asked does not count against it.
    """

    def __init__(self) -> None:
        self._seconds: dict[Hashable, float] = {}
        self._least = 0.0

    def __contains__(self, name: Hashable) -> bool:
        return name in self._seconds

    def of(self, name: Hashable) -> float:
        return max(self._seconds.get(name, 0.0), self._least)

    def begin(self, name: Hashable) -> None:
        self._least = self.of(name)

    def add(self, name: Hashable, seconds: float) -> None:
        self._seconds[name] = self.of(name) + seconds
        self._seconds = {one: had for one, had in self._seconds.items() if had > self._least}


def unshared() -> Share:
    """For a process that does nothing else."""
    return Share(rest=0.0)


def in_pieces(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Some hundred of them at a time, each of which costs some ten microseconds."""
    return (things[start : start + _PIECE] for start in range(0, len(things), _PIECE))


async def in_turns(work: Iterable[None]) -> None:
    """Does the work to its end; wherever it yields, and then, others have their turn."""
    for _ in work:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
