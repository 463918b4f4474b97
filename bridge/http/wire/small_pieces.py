"""Scheduling of the reads of requests that arrive in many small pieces, such as single bytes of a head."""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.http.wire.reading import ReadingProtocol

REST_SECONDS: Final = 0.005
AT_ONCE: Final = 25
"""How many connections are read again at once. A byte of a head takes 0.012 ms, a piece of a body some 0.03 ms."""


class SmallPieces:
    """Connections whose last bytes were a small piece of a request.

    They are not read for a moment. Then AT_ONCE of them are read again each REST_SECONDS; client addresses take turns.
    Meanwhile their bytes gather in the socket. Otherwise thousands of connections with a few bytes each would be read in
    one iteration of the event loop.
    """

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._turns: OrderedDict[str, dict[ReadingProtocol, None]] = OrderedDict()
        self._timer: asyncio.TimerHandle | None = None

    def rests(self, reader: "ReadingProtocol") -> None:
        """Stop reading the connection until its turn."""
        if reader.loop is not self._loop:
            # Connections of an event loop that has ended are dropped.
            self._loop, self._timer = reader.loop, None
            self._turns.clear()
        self._turns.setdefault(reader.address, {})[reader] = None
        if self._timer is None:
            self._timer = reader.loop.call_later(REST_SECONDS, self._wake)

    def leave(self, reader: "ReadingProtocol") -> None:
        """Remove a connection that is closed."""
        if readers := self._turns.get(reader.address):
            readers.pop(reader, None)

    def _wake(self) -> None:
        self._timer = None
        woken = 0
        while self._turns and woken < AT_ONCE:
            address, readers = self._turns.popitem(last=False)
            if readers:
                reader = next(iter(readers))
                del readers[reader]
                reader.reads_again()
                woken += 1
            if readers:
                self._turns[address] = readers
        if self._turns and self._loop is not None:
            self._timer = self._loop.call_later(REST_SECONDS, self._wake)
