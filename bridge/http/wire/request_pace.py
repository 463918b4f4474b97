"""Pacing of requests per address: one beyond the rate waits, and its connection is not read meanwhile."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_BURST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 5.0
_MOST_ADDRESSES: Final = 20_000
# Time of a refused request on a slow machine, and the least share of the loop's time of an address.
_LEAST_PAID_SECONDS: Final = 0.0001
_LEAST_SHARE: Final = 0.05


class Pace:
    """A rate of requests and new connections for each address, with a burst of one second. A rate of 0 is no limit.

    A refusal costs the loop as much as an answer. So a request that comes too fast is neither answered nor read until
    its turn. The rate limiter that refuses has twice the burst: it does not refuse what begins here. A request pays for
    0.1 ms of the loop's time, or for more at low rates, so that an address has at least a twentieth of it.
    """

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._each = 1 / rate if rate else 0.0
        self._paid_seconds = max(_LEAST_PAID_SECONDS, _LEAST_SHARE * self._each)
        self._now = now
        # The time when the last counted request may begin.
        self._turns: OrderedDict[str, float] = OrderedDict()

    def __bool__(self) -> bool:
        """Return whether there is a rate."""
        return bool(self._each)

    def enters(self, address: str) -> bool:
        """Return whether a new connection is kept; it counts as its first request.

        None is kept beyond a five seconds' queue.
        """
        if not self._each:
            return True
        if self._turns.get(address, 0.0) - self._now() > _MOST_SECONDS:
            return False
        self.begins(address)
        return True

    def begins(self, address: str, count: float = 1) -> float:
        """Count a request, or none if its connection was counted; returns the seconds until it may begin."""
        if not self._each:
            return 0.0
        now, turns = self._now(), self._turns
        turn = turns[address] = max(turns.get(address, 0.0), now - _BURST_SECONDS) + count * self._each
        turns.move_to_end(address)
        if len(turns) > _MOST_ADDRESSES:
            turns.popitem(last=False)
        return max(0.0, turn - now)

    def owes(self, address: str) -> float:
        """Return the seconds until a request of the address may begin, if none comes before it."""
        return max(0.0, self._turns.get(address, 0.0) - self._now()) if self._each else 0.0

    def charge(self, address: str, seconds: float, counted: int = 1) -> None:
        """Charge the loop's time as the number of requests that pay for it; `counted` of them were counted already."""
        if self._each and (beyond := seconds / self._paid_seconds - counted) > 0:
            self.begins(address, beyond)

    def gives_up(self, address: str) -> None:
        """Uncount a request that never begins."""
        self.begins(address, -1)
