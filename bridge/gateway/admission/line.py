"""Scheduling of the requests' work on the event loop, so that no sender delays the others.

Work is done in slices: a slice is the longest time for which work occupies the loop in one iteration. A request's turn
is the permission to work for one slice; the senders have turns one after the other. The time is charged to the sender.
"""

import asyncio
import time
from collections import deque
from typing import Final, Self

from bridge.gateway.admission.rate_limits import Bill
from bridge.gateway.admission.sender_turns import Path, Turns
from bridge.http.wire.cost import Cost
from bridge.http.wire.intake import BEGUN_SECONDS, Intake
from sinks.cooperative import Turn

SLICE_SECONDS: Final = 0.002
_slice_clock: Final = time.thread_time
"""The clock of slices. By a clock on the wall, a process that waits for a processor would do less in each iteration."""
_OWN: Final = 2
"""The number of names, from the widest, that are one party's: sender class, and organisation or address."""


def _slice() -> Turn:
    return Turn(SLICE_SECONDS, _slice_clock)


class Line:
    """The requests of one sender class (visitors or servers) that wait for their work on the event loop.

    In one iteration of the loop, their work takes at most one slice (a few milliseconds).

    - Senders take turns, one slice each. The senders are organisations and then their scripts, or the addresses of
      visitors and then the scripts that they name.
    - The first slice of a request is enough for most requests. First slices go before long work (the later slices),
      but while long work waits, first slices get at most half of the time.
    - Requests of one sender and kind are processed in the order of their arrival.
    - While two lines have requests, the next turn is of the line that has used less time. A line therefore has half of
      the time, also if its turns are much shorter than the other's.
    """

    def __init__(self, lines: "list[Line] | None" = None, intake: Intake | None = None) -> None:
        """`lines` are the lines that share the time of the event loop. This line is added to them.

        The time of turns that are longer than usual is deducted from the time for requests that begin in `intake`.
        """
        self._intake = intake
        self._lines = [] if lines is None else lines
        self._lines.append(self)
        self._turn = _slice()
        """Measures how long the request that works now has worked."""
        self.used = 0.0
        """Seconds of this line's turns. They count only in comparison with those of other lines that have requests."""
        self._first: Turns[asyncio.Future[float]] = Turns()
        self._long: Turns[asyncio.Future[float]] = Turns()
        self._served: tuple[Turns[asyncio.Future[float]], Path] | None = None
        self._iteration = _slice()
        self._works = False
        """Whether, in this iteration of the loop, a request has worked or waits for a turn."""
        self._firsts = _slice()
        """Measures how long first slices have gone before long work; when it is over, long work has a turn."""

    def work(self, bill: Bill, cost: Cost | None = None) -> "Work":
        """Return the work of a request as a context; its end lets the next request work.

        The time of the work is charged to `bill`, the script and address of the request. The request's earlier `cost`,
        such as parsing, is charged too.
        """
        return Work(self, bill, cost or Cost())

    def spent(self, seconds: float) -> None:
        """Deduct `seconds`, the earlier cost (such as parsing) of the request that works now, from its slice."""
        self._iteration.spent(seconds)
        self._turn.spent(seconds)

    def gives_at_once(self, sender: Path) -> bool:
        """Let a request of the sender work now if possible; returns whether it may.

        It may if no other request works or waits, the slice of this iteration is not used up, and no other line goes
        before.
        """
        if self.is_busy or (self._works and self._iteration.is_over):
            return False
        self._join()
        if self.gives_way:
            return False
        self._serve(self._first, sender)
        self._begin()
        return True

    async def take(self, sender: Path, *, long: bool = False) -> float:
        """Wait until a request of the sender may work for one slice, after the sender's earlier requests.

        If the work is `long` (more than one slice), it also waits for the first slices of other requests. Returns for
        how many seconds it waited for others: without the time until the last slice of its organisation, or of its
        address, was over.
        """
        if self.gives_at_once(sender):
            return 0.0
        began = time.perf_counter()
        self._join()
        turn = asyncio.get_running_loop().create_future()
        (self._of_long(sender) if long else self._first.of(sender)).append(turn)
        own = await self._given(turn)
        return time.perf_counter() - max(began, own)

    async def take_turns(self, sender: Path) -> None:
        """End the slice, and wait for the request's next one.

        Each other sender has a slice before. This sender's later requests have theirs after it.
        """
        turn = asyncio.get_running_loop().create_future()
        self._of_long(sender).appendleft(turn)
        self._end()
        await self._given(turn)

    def leave(self) -> None:
        """End the work of a request. The next sender's first request may work in the next iteration of the loop."""
        if self._first or self._long:
            self._end()
        else:
            self._worked()
            self._served = None
        self._give_next()

    def give(self) -> None:
        """Give the next turn, unless a request of this line works or another line goes before."""
        if self._served or self.gives_way:
            return
        for turns in (self._long, self._first) if self._firsts.is_over else (self._first, self._long):
            while turns:
                sender, queue = turns.first()
                while queue:
                    turn = queue.popleft()
                    if not turn.done():
                        self._serve(turns, sender)
                        turn.set_result(turns.worked_until(sender[:_OWN]))
                        return
                turns.end(sender)

    @property
    def is_busy(self) -> bool:
        """Whether a request works or waits."""
        return bool(self._served or self._first or self._long)

    @property
    def gives_way(self) -> bool:
        """Whether the next turn is of another line."""
        return any(line.used < self.used and line.is_busy for line in self._lines)

    def _join(self) -> None:
        """Begin to share the time with the lines that have requests. What each line used alone does not count."""
        if self.is_busy:
            return
        used = [line.used for line in self._lines if line.is_busy]
        if used:
            self.used = max(self.used, min(used))
        else:
            for line in self._lines:
                line.used = 0.0

    def _give_next(self) -> None:
        """Give the next turn of each line that has requests and may go on, also of those that gave way to this one."""
        # Twice, because a line whose requests are all given up lets others go on only after it has looked.
        for line in 2 * self._lines:
            line.give()

    def _of_long(self, sender: Path) -> deque[asyncio.Future[float]]:
        if not self._long:
            self._firsts.begin()
        return self._long.of(sender)

    def _serve(self, turns: Turns[asyncio.Future[float]], sender: Path) -> None:
        self._served = turns, sender
        self._turn.begin()

    def _end(self) -> None:
        if self._served:
            turns, sender = self._served
            self._worked()
            now = time.perf_counter()
            self._first.worked(sender[:_OWN], now)
            self._long.worked(sender[:_OWN], now)
            turns.end(sender)
            self._served = None
            if turns is self._long:
                self._firsts.begin()

    def _worked(self) -> None:
        used = self._turn.used
        self.used += used
        if self._intake is not None and used > BEGUN_SECONDS:
            self._intake.spend(used - BEGUN_SECONDS)

    def _begin(self) -> None:
        """Begin to measure the slice, if this is the first work in this iteration of the event loop."""
        if not self._works:
            self._works = True
            self._iteration.begin()
            asyncio.get_running_loop().call_soon(self._end_iteration)

    def _end_iteration(self) -> None:
        self._works = False
        self._give_next()

    async def _given(self, turn: asyncio.Future[float]) -> float:
        # The end of a turn starts the next one. If no request has a turn, the end of the iteration starts it.
        self._begin()
        try:
            own = await turn
        except asyncio.CancelledError:
            # The turn was given to a request that was cancelled meanwhile, so the next request gets it.
            if not turn.cancelled():
                self.leave()
            raise
        # Until the request goes on, the loop worked for others.
        self._turn.begin()
        self._begin()
        return own


class Work(Turn):
    """The work of one request on the event loop, in slices of a few milliseconds.

    Each slice waits until it is the sender's turn. The first slice goes before later slices of other requests.
    """

    def __init__(self, line: Line, bill: Bill, cost: Cost) -> None:
        self.bill = bill
        self.own_waits = 0.0
        """Seconds for which the request waited in the line because of what its sender sends.

        These are the waits for its organisation's or address's other requests, and for each slice after its first.
        """
        self._cost = cost
        self._before = 0.0
        """Cost of the request before its turn, in seconds of processor time."""
        self._line = line
        self._in_turn = self._is_long = self._has_stood = False
        self._used: float | None = None
        super().__init__(SLICE_SECONDS, _slice_clock)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Begin to count the time of the work, and charge the earlier cost of the request."""
        super().begin()
        self._charge_cost()
        self._used = time.thread_time()

    async def stand_in_line(self, *, long: bool = False) -> bool:
        """Wait until this request may work; returns whether it had to wait.

        `long` means that the work needs more than one slice, or that its script has exceeded its share of the time.
        Then the first slices of other requests go before this work. A request that may work already, and whose work
        turns out to be long, waits again.
        """
        if self._in_turn:
            if self._is_long or not long:
                return False
            self._in_turn = False
            self._line.leave()
        self._is_long = long
        waits = not self._line.gives_at_once(self.bill.turn)
        if waits:
            self._charge()
            began = time.perf_counter()
            for_others = await self._line.take(self.bill.turn, long=long)
            self.own_waits += time.perf_counter() - began - (0.0 if self._has_stood else for_others)
            self.begin()
        self._in_turn = self._has_stood = True
        self._line.spent(self._before)
        self._before = 0.0
        return waits

    def end(self) -> None:
        """End the slice, because the request waits for something else, is answered, or is refused."""
        self._charge()
        self._charge_cost()
        self._used = None
        if self._in_turn:
            self._in_turn = False
            self._line.leave()

    def _charge(self) -> None:
        """Charge the processor time since the work began or was last charged; none while the request waits."""
        if self._used is not None:
            used = time.thread_time()
            self.bill.charge_time(used - self._used)
            self._used = used

    def _charge_cost(self) -> None:
        seconds = self._cost.take()
        self._before += seconds
        self.bill.charge_time(seconds)

    async def _pause(self) -> None:
        if not self._in_turn and await self.stand_in_line(long=True):
            return
        self._is_long = True
        self._charge()
        # While the request waits it has no turn, so a cancellation must not end one.
        self._in_turn = False
        began = time.perf_counter()
        await self._line.take_turns(self.bill.turn)
        self.own_waits += time.perf_counter() - began
        self._in_turn = True
