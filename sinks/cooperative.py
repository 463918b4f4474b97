"""Cooperative turns on the event loop: long work yields every few milliseconds, so that a service keeps answering."""

import asyncio
import time
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from copy import copy
from typing import Final, TypeVar

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""The longest turn of one piece of work, in seconds."""

_PIECE: Final = 500


class Turn:
    """One piece of long work. Its turn begins at its creation, and again after each pause for other tasks."""

    def __init__(self, seconds: float = TURN_SECONDS, now: Callable[[], float] | None = None) -> None:
        """`seconds` is the length of a turn; `now` is a monotonic clock in seconds."""
        self._seconds = seconds
        self._now = now or time.monotonic
        self.begin()

    async def let_others(self) -> None:
        """Yield to other tasks if this turn is over."""
        if self.is_over:
            await self._pause()
            self.begin()

    @property
    def is_over(self) -> bool:
        """Whether the work has used its turn."""
        return self._now() >= self._ends

    def begin(self) -> None:
        """Start the turn now: the time before was not spent on the loop."""
        self._ends = self._now() + self._seconds

    def spent(self, seconds: float) -> None:
        """Count seconds that the work spent on the loop before its turn began."""
        self._ends -= seconds

    async def _pause(self) -> None:
        await asyncio.sleep(0)


class Share:
    """A share of the loop's time, at most half by default, for the long work of several tasks together.

    Organisations take turns, and so do the tasks of one organisation: of those that ask, the one with the least time
    used gets the next turn. Work without an organisation counts as one more organisation. With one turn for each task,
    organisations with few tasks or short pieces of work would wait for those with many or long ones.
    """

    def __init__(self, now: Callable[[], float] | None = None, *, rest: float = 1.0) -> None:
        """`now` is a monotonic clock in seconds; `rest` is the time left to others for each second of work."""
        self._divided = _Divided(now or time.monotonic, rest)
        self.org: Hashable = None
        """The organisation of the work, None without one."""

    def of(self, org: Hashable) -> "Share":
        """Return the same share for one more task, on behalf of this organisation; None is no organisation."""
        task = copy(self)
        task.org = org
        return task

    async def do(self, work: Callable[[], object]) -> None:
        """Run the work when it has a turn; after a turn's time, other tasks have the loop."""
        await self._divided.begin(self.org, self)
        try:
            work()
        finally:
            self._divided.end(self.org, self)

    async def finish(self, work: Generator[None, None, T]) -> T:
        """Run work in pieces to its end and return its result; other tasks may run after each piece."""
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
    """The order of the waiting tasks."""

    def __init__(self, now: Callable[[], float], rest: float) -> None:
        self._now = now
        self._rest = rest
        self._in_hand = False
        """Whether a task has a turn, or others have the loop."""
        self._began = 0.0
        self._spent = 0.0
        self._waiting: list[tuple[Hashable, Hashable, asyncio.Future[None]]] = []
        self._orgs = _Used()
        self._tasks: dict[Hashable, _Used] = {}

    async def begin(self, org: Hashable, task: Hashable) -> None:
        """Wait for a turn, unless none is taken."""
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
        """Count the time of the turn, and start the next one when it is due."""
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
            # Delayed, so that the task that has just finished can request its next turn first.
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
    """The seconds used by each name. One that was idle counts like the one that had the last turn.

    So unused time does not accumulate, and time used while no other name asked does not count.
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
    """Return a share for a process without other work."""
    return Share(rest=0.0)


def in_pieces(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return slices of some hundred items, each of which takes about ten microseconds."""
    return (things[start : start + _PIECE] for start in range(0, len(things), _PIECE))


async def in_turns(work: Iterable[None]) -> None:
    """Run the work to its end; other tasks run at each yield and after it."""
    for _ in work:
        await asyncio.sleep(0)
    await asyncio.sleep(0)
