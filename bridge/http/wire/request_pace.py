"""Rate of requests for each client address: a request over the rate waits, and its connection is not read meanwhile."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_BURST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 5.0
_MOST_ADDRESSES: Final = 20_000
# At the default rate, and at any lower one, an address has a fortieth of the loop's time, and sixteen have 0.4 of it.
_LEAST_PAID_SECONDS: Final = 0.00005
_LEAST_SHARE: Final = 0.025


class Pace:
    """A rate of requests and new connections for each address, with a burst of one second. A rate of 0 means no limit.

    A refusal costs the event loop as much as an answer. So a request over the rate is not refused, but waits unread
    until the rate lets it begin. The rate limiter that refuses requests allows twice this burst, so it does not refuse
    a request that has waited here.

    A request that takes more than 0.05 ms of the event loop's time counts as several requests. At low rates, one request
    covers more than 0.05 ms, so that an address always has at least a fortieth of the loop's time.
    """

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._each = 1 / rate if rate else 0.0
        self._paid_seconds = max(_LEAST_PAID_SECONDS, _LEAST_SHARE * self._each)
        self._now = now
        # For each address, the time at which its last counted request may begin.
        self._turns: OrderedDict[str, float] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether a rate is set."""
        return bool(self._each)

    def enters(self, address: str) -> bool:
        """Return whether to keep a new connection, and count the connection's first request.

        The connection is not kept if the requests of its address already have to wait for more than five seconds.
        """
        if not self._each:
            return True
        if self.is_over(address):
            return False
        self.begins(address)
        return True

    def is_over(self, address: str) -> bool:
        """Return whether the requests of the address already have to wait for more than five seconds."""
        return self.owes(address) > _MOST_SECONDS

    def begins(self, address: str, count: float = 1) -> float:
        """Count `count` requests; returns the seconds until the last of them may begin.

        `count` is 0 for the first request of a connection, which was counted when the connection was accepted.
        """
        if not self._each:
            return 0.0
        now, turns = self._now(), self._turns
        turn = turns[address] = max(turns.get(address, 0.0), now - _BURST_SECONDS) + count * self._each
        turns.move_to_end(address)
        if len(turns) > _MOST_ADDRESSES:
            turns.popitem(last=False)
        return max(0.0, turn - now)

    def owes(self, address: str) -> float:
        """Return the seconds until the next request of the address may begin."""
        return max(0.0, self._turns.get(address, 0.0) - self._now()) if self._each else 0.0

    def charge(self, address: str, seconds: float, counted: int = 1) -> None:
        """Count `seconds` of the event loop's time as requests of the address: one for each 0.05 ms.

        At low rates, a request covers more than 0.05 ms. `counted` of these requests were counted before.
        """
        if self._each and (beyond := seconds / self._paid_seconds - counted) > 0:
            self.begins(address, beyond)

    def gives_up(self, address: str) -> None:
        """Take back the count of a request of the address that never begins."""
        self.begins(address, -1)
