"""Scheduling of parsing: which connections are parsed in this iteration of the event loop, and which wait."""

import asyncio
from collections import OrderedDict
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from bridge.http.wire.reading import ReadingProtocol

SLICE_SECONDS: Final = 0.001
BEGUN_SECONDS: Final = 0.0002
"""Seconds that a request is assumed to take in the iteration in which it begins, or goes on with its body."""
_LEAST_SECONDS: Final = SLICE_SECONDS / 2


Key = tuple[str, bool]
"""The client address, and whether the unparsed bytes belong to the body of the request in flight.

Such bytes don't wait for the rate of their client address.
"""


class Intake:
    """Limits the time of parsing in one iteration of the event loop, for all connections that share this object.

    `left` is the time that remains in this iteration, in seconds. While it is positive, a connection's bytes are parsed
    when they arrive. After that, bytes wait for the next iteration, in which client addresses take turns. The bytes of
    an address over its rate of requests wait until the rate lets its next request begin.
    """

    def __init__(self) -> None:
        self.left = SLICE_SECONDS
        self._loop: asyncio.AbstractEventLoop | None = None
        self._goes_on = False
        self._turns: OrderedDict[Key, dict[ReadingProtocol, None]] = OrderedDict()
        self._resting: dict[Key, dict[ReadingProtocol, None]] = {}

    @property
    def is_behind(self) -> bool:
        """Return whether bytes wait for the next iteration."""
        return bool(self._turns)

    def spend(self, seconds: float) -> None:
        """Deduct `seconds` of other work, such as opening connections. Half of the next iteration's time remains."""
        self.left = min(self.left, max(self.left - seconds, _LEAST_SECONDS - SLICE_SECONDS))

    def waits(self, reader: "ReadingProtocol") -> None:
        """Add the connection to the queue; its bytes are parsed when it is its turn."""
        if reader.waits_in is not None:
            return
        if reader.loop is not self._loop:
            # Connections of an event loop that has ended are dropped.
            self._loop, self._goes_on = reader.loop, False
            self._turns.clear()
            self._resting.clear()
        key = reader.address, reader.is_begun
        reader.waits_in = self, key
        (self._resting if key in self._resting else self._turns).setdefault(key, {})[reader] = None
        self._go_on()

    def leave(self, reader: "ReadingProtocol", key: Key) -> None:
        """Remove the connection from the queue of this key."""
        for queue in (self._turns, self._resting):
            queue.get(key, {}).pop(reader, None)

    def _go_on(self) -> None:
        if self._turns and not self._goes_on and self._loop is not None:
            self._goes_on = True
            self._loop.call_soon(self._iterate)

    def _iterate(self) -> None:
        self._goes_on = False
        # Time over the limit of an iteration is deducted from the next iterations.
        self.left = min(SLICE_SECONDS, self.left + SLICE_SECONDS)
        while self.left > 0 and self._turns:
            key, readers = self._turns.popitem(last=False)
            if readers and not self._rests(key, readers):
                reader = next(iter(readers))
                del readers[reader]
                if readers:
                    self._turns[key] = readers
                reader.waits_in = None
                if reader.parse_piece():
                    self.waits(reader)
        self._go_on()

    def _rests(self, key: Key, readers: "dict[ReadingProtocol, None]") -> bool:
        """Return whether the address is over its rate of requests.

        If so, all of its connections that want to begin a request wait until the rate lets one begin.
        """
        owes = 0.0 if key[1] else next(iter(readers)).owes()
        if owes and self._loop is not None:
            self._resting[key] = readers
            self._loop.call_later(owes, self._has_paid, key)
        return bool(owes)

    def _has_paid(self, key: Key) -> None:
        if readers := self._resting.pop(key, None):
            self._turns[key] = readers
            self._go_on()
