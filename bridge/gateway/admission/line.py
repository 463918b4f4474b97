"""Scheduling of requests' work on the event loop: long work in slices, senders in turn, with the time charged."""

import asyncio
import time
from collections import deque
from typing import Final, Self

from bridge.gateway.admission.rate_limits import Bill
from bridge.gateway.admission.sender_turns import Path, Turns
from bridge.http.wire.cost import Cost
from sinks.cooperative import Turn

SLICE_SECONDS: Final = 0.005


class Line:
    """The queue of one sender class. Between two iterations of the loop, its requests work for one slice together.

    The senders take turns, a slice each: organisations and then their scripts, or addresses of visitors and then the
    scripts that they name. First slices, which are enough for most requests, go before long work, but get half of the
    time while long work waits. The requests of one sender and kind are processed in the order of their arrival.
    """

    def __init__(self) -> None:
        self._first: Turns[asyncio.Future[None]] = Turns()
        self._long: Turns[asyncio.Future[None]] = Turns()
        self._served: tuple[Turns[asyncio.Future[None]], Path] | None = None
        self._iteration = Turn(SLICE_SECONDS)
        self._works = False
        """Whether a request has worked, or waits for a turn, in this iteration of the loop."""
        self._firsts = Turn(SLICE_SECONDS)
        """The time in which first slices go before long work, since it waits or had its last slice."""

    def work(self, bill: Bill, cost: Cost | None = None) -> "Work":
        """Return a request's work, charged to its bill with its earlier `cost`, as a context.

        Its end gives the next request its turn.
        """
        return Work(self, bill, cost or Cost())

    def spent(self, seconds: float) -> None:
        """Count the earlier cost of the request that has its turn, so that answering gets no more time than parsing."""
        self._iteration.spent(seconds)

    def gives_at_once(self, sender: Path) -> bool:
        """Return whether the sender has its turn now: no request has a turn or waits, and the slice is not used up."""
        if self._served or self._first or self._long or (self._works and self._iteration.is_over):
            return False
        self._served = self._first, sender
        self._begin()
        return True

    async def take(self, sender: Path, *, long: bool = False) -> None:
        """Wait for a turn of the sender, after its earlier requests; `long` work also waits for first slices."""
        if not self.gives_at_once(sender):
            turn = asyncio.get_running_loop().create_future()
            (self._of_long(sender) if long else self._first.of(sender)).append(turn)
            await self._given(turn)

    async def take_turns(self, sender: Path) -> None:
        """Yield a turn to each other sender; continues in a later iteration, before later requests of this sender."""
        turn = asyncio.get_running_loop().create_future()
        self._of_long(sender).appendleft(turn)
        self._end()
        await self._given(turn)

    def leave(self) -> None:
        """End a turn: the next sender's first request has its turn in the next iteration."""
        if self._first or self._long:
            self._end()
            self._give()
        else:
            self._served = None

    def _of_long(self, sender: Path) -> deque[asyncio.Future[None]]:
        if not self._long:
            self._firsts.begin()
        return self._long.of(sender)

    def _end(self) -> None:
        if self._served:
            turns, sender = self._served
            turns.end(sender)
            self._served = None
            if turns is self._long:
                self._firsts.begin()

    def _give(self) -> None:
        for turns in (self._long, self._first) if self._firsts.is_over else (self._first, self._long):
            while turns:
                sender, queue = turns.first()
                while queue:
                    turn = queue.popleft()
                    if not turn.done():
                        self._served = turns, sender
                        turn.set_result(None)
                        return
                turns.end(sender)

    def _begin(self) -> None:
        """Start the iteration's slice with its first work."""
        if not self._works:
            self._works = True
            self._iteration.begin()
            asyncio.get_running_loop().call_soon(self._end_iteration)

    def _end_iteration(self) -> None:
        self._works = False
        if not self._served:
            self._give()

    async def _given(self, turn: asyncio.Future[None]) -> None:
        # If no request has a turn whose end would start the next one, the end of the iteration starts it.
        self._begin()
        try:
            await turn
        except asyncio.CancelledError:
            # A turn that was given and can't be taken goes to the next request; `leave` skips cancelled ones.
            if not turn.cancelled():
                self.leave()
            raise
        self._begin()


class Work(Turn):
    """The work of one request: each slice waits for its turn, the first one before others' long work."""

    def __init__(self, line: Line, bill: Bill, cost: Cost) -> None:
        self.bill = bill
        self._cost = cost
        self._before = 0.0
        """Cost of the request before its turn, in seconds."""
        self._line = line
        self._in_turn = self._is_long = False
        self._used: float | None = None
        super().__init__(SLICE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Start counting the work's time, and charge the request's earlier cost."""
        super().begin()
        self._charge_cost()
        self._used = time.thread_time()

    async def stand_in_line(self, *, long: bool = False) -> bool:
        """Wait until it is this request's turn; returns whether it had to wait.

        `long` means that the work is long, or that its script has exceeded its share of the time: others' first slices
        go before it. Work that turns out to be long during its turn waits again.
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
            await self._line.take(self.bill.turn, long=long)
            self.begin()
        self._in_turn = True
        self._line.spent(self._before)
        self._before = 0.0
        return waits

    def end(self) -> None:
        """End the turn: the request waits for something else, is answered, or is refused."""
        self._charge()
        self._charge_cost()
        self._used = None
        if self._in_turn:
            self._in_turn = False
            self._line.leave()

    def _charge(self) -> None:
        """Charge the loop's time since the work began or was last charged, unless it waits for something else."""
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
        # A request that is cancelled while it waits has no turn to end.
        self._in_turn = False
        await self._line.take_turns(self.bill.turn)
        self._in_turn = True
