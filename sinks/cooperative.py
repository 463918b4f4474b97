"""Cooperative turns on the event loop: long work yields to other tasks every few milliseconds.

A turn is a short time during which one task's work occupies the event loop.
"""

import asyncio
import time
from collections.abc import Callable, Generator, Hashable, Iterator, Sequence
from copy import copy
from typing import Final, TypeVar

T = TypeVar("T")

TURN_SECONDS: Final = 0.01
"""How long work may occupy the event loop before it yields, in seconds."""

_PIECE: Final = 500


class Turn:
    """The current turn of one piece of long work: the time during which the work may occupy the event loop.

    The first turn begins when this object is created, every further turn after the work has yielded.
    """

    def __init__(self, seconds: float = TURN_SECONDS, now: Callable[[], float] | None = None) -> None:
        """`seconds` is the length of a turn; `now` is a monotonic clock in seconds."""
        self._seconds = seconds
        self._now = now or time.monotonic
        self.begin()

    async def let_others(self) -> None:
        """If the work has used its turn (time on the event loop), yield to other tasks, then begin the next turn."""
        if self.is_over:
            await self._pause()
            self.begin()

    @property
    def is_over(self) -> bool:
        """Whether the work has used its turn."""
        return self._now() >= self._ends

    @property
    def used(self) -> float:
        """For how many seconds the work has occupied the event loop since the turn began."""
        return self._now() - self._ends + self._seconds

    def begin(self) -> None:
        """Begin the turn again, now: the work has not occupied the event loop since the turn's former beginning."""
        self._ends = self._now() + self._seconds

    def spent(self, seconds: float) -> None:
        """Shorten this turn by the seconds for which the work occupied the event loop before the turn began."""
        self._ends -= seconds

    async def _pause(self) -> None:
        await asyncio.sleep(0)


class Share:
    """The part of the event loop's time, at most half by default, that the long work of several tasks uses together.

    The work runs in turns, each one short step. The next turn goes to the waiting organisation that has used the least
    time, and within the organisation to the waiting task that has used the least time. Work without an organisation
    counts as one more organisation. Organisations with many tasks, or with long steps, therefore don't delay others.
    In a worker, partitions take the place of organisations.
    """

    def __init__(self, now: Callable[[], float] | None = None, *, rest: float = 1.0) -> None:
        """`now` is a monotonic clock in seconds. `rest` is the idle time after each second of work, in seconds."""
        self._divided = _Divided(now or time.monotonic, rest)
        self.org: Hashable = None
        """The organisation that the work is for; None if it is for none."""

    def of(self, org: Hashable) -> "Share":
        """Return a handle on this share for one more task; `org` is the task's organisation, None if it has none."""
        task = copy(self)
        task.org = org
        return task

    async def do(self, work: Callable[[], object]) -> None:
        """Wait for a turn and run the work. After turns of TURN_SECONDS together, other tasks get the event loop."""
        await self._divided.begin(self.org, self)
        try:
            work()
        finally:
            self._divided.end(self.org, self)

    async def finish(self, work: Generator[None, None, T]) -> T:
        """Run the generator to its end, each step in a turn of its own, and return the generator's result."""
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
    """The queue of the tasks that wait for a turn, a short time in which one task's work occupies the event loop."""

    def __init__(self, now: Callable[[], float], rest: float) -> None:
        self._now = now
        self._rest = rest
        self._in_hand = False
        """True while a task has a turn, and while the loop is left to other tasks."""
        self._began = 0.0
        self._spent = 0.0
        self._waiting: list[tuple[Hashable, Hashable, asyncio.Future[None]]] = []
        self._orgs = _Used()
        self._tasks: dict[Hashable, _Used] = {}

    async def begin(self, org: Hashable, task: Hashable) -> None:
        """Begin a task's turn to use the event loop; wait first while another task has its turn."""
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
        """End a task's turn to use the event loop: count the used time, and schedule the next task's turn."""
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
    """The seconds used by each name (an organisation or a task).

    When a name that was idle begins to work again, its sum is set to that of the name that had the last turn. An idle
    name can therefore not save up unused time, and is not charged for time used while no other name waited.
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
    """Return a share of the whole time of the event loop, for a process that has no other work."""
    return Share(rest=0.0)


def in_pieces(things: Sequence[T]) -> Iterator[Sequence[T]]:
    """Return slices of some hundred items; work on one item is expected to take about ten microseconds."""
    return (things[start : start + _PIECE] for start in range(0, len(things), _PIECE))
