"""Pacing of one connection's requests at the rate of its address, which is charged for their cost."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bridge.http.answer import Receive, Scope, Send
from bridge.http.wire.cost import COST, Cost, seconds_since
from bridge.http.wire.request_pace import Pace

# The cost of a read besides the parser's time, for any number of bytes.
_READ_SECONDS: Final = 0.00001


class ConnectionTurns:
    """Turns of one connection. Its first request was counted when the connection was accepted."""

    def __init__(self, pace: Pace, address: str, *, is_first: bool = False) -> None:
        self.goes_first = self._is_first = is_first
        """Whether its bytes are parsed first: always, or because its last request came from a server."""
        self._pace = pace
        self._address = address
        self._to_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._cost = Cost()
        """Cost of the request in flight, or else of the next one."""

    @property
    def waits(self) -> bool:
        """Return whether a request waits for its turn."""
        return self._timer is not None

    def enters(self) -> bool:
        """Return whether the connection is kept."""
        return self._pace.enters(self._address)

    def begin(self, loop: asyncio.AbstractEventLoop, start: Callable[[], None]) -> None:
        """Start a request, now or when it is its turn."""
        seconds = self._pace.begins(self._address, self._to_count)
        self._to_count = 1
        if not seconds:
            start()
            return

        def begins() -> None:
            self._timer = None
            start()

        self._timer = loop.call_later(seconds, begins)

    def drop(self) -> None:
        """Drop the waiting request: its count stays, and its cost is charged."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._charge(1)

    def gone(self, *, is_idle: bool) -> None:
        """Handle a disconnect: a waiting request is charged its cost now, a request in flight when it ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._pace.gives_up(self._address)
            self._charge(0)
        elif is_idle:
            self._charge(1 - self._to_count)

    def owes(self) -> float:
        """Return the seconds until the address has paid for its earlier requests."""
        return self._pace.owes(self._address)

    def parsed_since(self, began: float) -> float:
        """Count the processor time of reading the connection's bytes, parsed since `began` by `time.thread_time`.

        Returns the seconds.
        """
        took = _READ_SECONDS + seconds_since(began)
        self._cost.seconds += took
        return took

    def charged(self, app: Any) -> Any:
        """Wrap the application: the address is charged for parsing and for the time until the request is admitted."""

        async def charged(scope: Scope, receive: Receive, send: Send) -> None:
            cost = scope[COST] = self._cost
            try:
                await cost.of(app(scope, receive, send))
            finally:
                self.goes_first = self._is_first or cost.counted > 1
                self._charge(cost.counted)

        return charged

    def _charge(self, counted: int) -> None:
        self._pace.charge(self._address, self._cost.seconds, counted)
        self._cost = Cost()
