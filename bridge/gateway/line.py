"""The loop's time for what requests cost it: long work goes in slices, one sender after another, and is charged."""

import asyncio
import time
from typing import Final, Self

from bridge.gateway.allowances import Bill
from bridge.gateway.turns import Path, Turns
from sinks.turn import Turn

SLICE_SECONDS: Final = 0.005


class Line:
    """Where requests of one class of sender wait: between two iterations of the loop, one of them works for a slice.

    The senders take turns, a slice each: organisations and then their scripts, addresses of visitors and then the scripts
    that they name. The requests of one sender are worked on in the order in which they came.
    """

    def __init__(self) -> None:
        self._waiting: Turns[asyncio.Future[None]] = Turns()
        self._served: Path | None = None

    def work(self, bill: Bill) -> "Work":
        """A request's work, charged to its bill: a context whose end lets the next one go on."""
        return Work(self, bill)

    async def take(self, sender: Path) -> None:
        """Waits for a turn of the sender's, behind its earlier requests."""
        if self._served is None:
            self._served = sender
            return
        turn = asyncio.get_running_loop().create_future()
        self._waiting.of(sender).append(turn)
        await self._given(turn)

    async def take_turns(self, sender: Path) -> None:
        """Lets the other senders have a turn each, and goes on before later requests of this one."""
        turn = asyncio.get_running_loop().create_future()
        self._waiting.of(sender).appendleft(turn)
        self.leave()
        await self._given(turn)

    def leave(self) -> None:
        """Ends a turn: the next sender's first request has its own."""
        if self._served is not None:
            self._waiting.end(self._served)
        while self._waiting:
            self._served, queue = self._waiting.first()
            while queue:
                turn = queue.popleft()
                if not turn.done():
                    turn.set_result(None)
                    return
            self._waiting.end(self._served)
        self._served = None

    async def _given(self, turn: asyncio.Future[None]) -> None:
        try:
            await turn
        except asyncio.CancelledError:
            # A turn that was given and can't be taken is the next one's; `leave` skips one that is cancelled.
            if not turn.cancelled():
                self.leave()
            raise


class Work(Turn):
    """The work of one request: the first slice at once, so that a small request waits for nobody; the rest in line."""

    def __init__(self, line: Line, bill: Bill) -> None:
        self.bill = bill
        self._line = line
        self._in_turn = False
        self._used: float | None = None
        super().__init__(SLICE_SECONDS)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.end()

    def begin(self) -> None:
        """Counts the work's time from now on."""
        super().begin()
        self._used = time.thread_time()

    async def stand_in_line(self) -> None:
        """For work that is long, or whose script has used more than its share: waits until it is this request's turn."""
        if not self._in_turn:
            self._charge()
            await self._line.take(self.bill.turn)
            self._in_turn = True
            self.begin()

    def end(self) -> None:
        """Lets the next one go on: the request waits for something else, or is answered or refused."""
        self._charge()
        self._used = None
        if self._in_turn:
            self._in_turn = False
            self._line.leave()

    def _charge(self) -> None:
        """Charges the loop's time since the work began or was charged, unless it waits for something else."""
        if self._used is not None:
            used = time.thread_time()
            self.bill.charge_time(used - self._used)
            self._used = used

    async def _pause(self) -> None:
        self._charge()
        if self._in_turn:
            # Cancelled while it waits, it has no turn to end.
            self._in_turn = False
            await self._line.take_turns(self.bill.turn)
        else:
            await self._line.take(self.bill.turn)
        self._in_turn = True
        await asyncio.sleep(0)
