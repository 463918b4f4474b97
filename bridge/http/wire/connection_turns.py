"""When one connection's requests begin: each client address has a rate of requests, and a request over the rate waits.

Processor time counts towards the rate too: a costly request of an address counts as several. `request_pace` keeps the
rates.
"""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bridge.http.answer import Receive, Scope, Send
from bridge.http.wire.cost import COST, Cost, seconds_since
from bridge.http.wire.request_pace import Pace

# The cost of a read of any size, in addition to the parser's time.
_READ_SECONDS: Final = 0.00001
# To accept, open and close a connection: 0.06 ms on a machine without other work, 0.15 ms where others use its caches.
_OPENED_SECONDS: Final = 0.00015


class ConnectionTurns:
    """Decides when each request of one connection begins, by the request rate of the connection's client address.

    The first request was counted when the connection was accepted.
    """

    def __init__(self, pace: Pace, address: str, *, is_first: bool = False) -> None:
        self.goes_first = self._is_first = is_first
        """Whether the connection's bytes are parsed before others': on the admin port, or after a server's request."""
        self._pace = pace
        self._address = address
        self._to_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._cost = Cost(_OPENED_SECONDS)
        """Cost of the request in flight; without one, of the next request. The first one's includes the connection."""

    @property
    def waits(self) -> bool:
        """Return whether a request waits for its turn."""
        return self._timer is not None

    def enters(self) -> bool:
        """Return whether to keep a new connection: not if its client address is far over its rate of requests."""
        return self._pace.enters(self._address)

    def begin(self, loop: asyncio.AbstractEventLoop, start: Callable[[], None]) -> None:
        """Call `start` when the rate of the client address lets the request begin, which may be now."""
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
        """Drop the request that waits to begin. It still counts towards its address's rate, with its processor time."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._charge(1)

    def gone(self, *, is_idle: bool) -> None:
        """Handle a disconnect.

        The processor time of a waiting request counts towards the rate of the client address now. That of a request in
        flight counts when the request ends.
        """
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._pace.gives_up(self._address)
            self._charge(0)
        elif is_idle:
            self._charge(1 - self._to_count)

    def owes(self) -> float:
        """Return the seconds until the request rate of the client address lets its next request begin."""
        return self._pace.owes(self._address)

    def parsed_since(self, began: float) -> float:
        """Count the time since `began` as the cost of reading; returns it in seconds of processor time.

        `began` is a value of `time.thread_time`.
        """
        took = _READ_SECONDS + seconds_since(began)
        self._cost.seconds += took
        return took

    def charged(self, app: Any) -> Any:
        """Wrap the ASGI application, so that a request's cost counts towards the rate of its client address.

        The cost is the processor time of parsing, and of the work until the request is admitted.
        """

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
