"""The turns of one connection's requests: at the pace of its address, which is charged what they cost."""

import asyncio
from collections.abc import Callable
from typing import Any, Final

from bridge.http.answer import Receive, Scope, Send
from bridge.http.wire.cost import COST, Cost, seconds_since
from bridge.http.wire.request_pace import Pace

# What a read costs the loop besides the parser's time, however few bytes come.
_READ_SECONDS: Final = 0.00001


class ConnectionTurns:
    """Those of one connection. The first request of a connection was counted when that was made."""

    def __init__(self, pace: Pace, address: str, *, is_first: bool = False) -> None:
        self.goes_first = self._is_first = is_first
        """Whether its bytes are parsed before those of others: always, or because its last request was a server's."""
        self._pace = pace
        self._address = address
        self._to_count = 0
        self._timer: asyncio.TimerHandle | None = None
        self._cost = Cost()
        """Of the request that is worked on, or else of the next one."""

    @property
    def waits(self) -> bool:
        """Whether a request waits for its turn."""
        return self._timer is not None

    def enters(self) -> bool:
        """Whether the connection is kept."""
        return self._pace.enters(self._address)

    def begin(self, loop: asyncio.AbstractEventLoop, start: Callable[[], None]) -> None:
        """Starts a request, now or when it is its turn."""
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
        """The request that waits never begins; what was counted for it stays so, and its cost is charged."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._charge(1)

    def gone(self, *, is_idle: bool) -> None:
        """The client disconnected: its request that waits is charged what it cost, and one that is answered when it ends."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
            self._pace.gives_up(self._address)
            self._charge(0)
        elif is_idle:
            self._charge(1 - self._to_count)

    def owes(self) -> float:
        """After how many seconds the address has paid for what came before."""
        return self._pace.owes(self._address)

    def parsed_since(self, began: float) -> float:
        """Counts what it took to read some of the connection's bytes; they were parsed since then by `time.thread_time`.

        Returns the seconds.
        """
        took = _READ_SECONDS + seconds_since(began)
        self._cost.seconds += took
        return took

    def charged(self, app: Any) -> Any:
        """The application, whose time until it admits the request is charged to the address, with that of parsing."""

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
