"""How fast the requests of an address begin: one beyond its rate waits, and its connection is not read meanwhile."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_BURST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 5.0
_MOST_ADDRESSES: Final = 20_000
# What a request that is refused takes of the loop's time on a slow machine, and what an address has of it at any rate.
_LEAST_PAID_SECONDS: Final = 0.0001
_LEAST_SHARE: Final = 0.05


class Pace:
    """A rate of requests and new connections for each address, a second's worth of them at once. A rate of 0 is no limit.

    A refusal costs the loop as much as an answer. So what comes too fast is neither answered nor read until it is its
    turn. The rate that refuses has twice the burst: what begins here is not refused there. A request pays for 0.1 ms of
    the loop's time, or for more where the rate is so low that an address would have less than a twentieth of it.
    """

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._each = 1 / rate if rate else 0.0
        self._paid_seconds = max(_LEAST_PAID_SECONDS, _LEAST_SHARE * self._each)
        self._now = now
        # When the last one that was counted may begin.
        self._turns: OrderedDict[str, float] = OrderedDict()

    def __bool__(self) -> bool:
        """Whether there is a rate."""
        return bool(self._each)

    def enters(self, address: str) -> bool:
        """Whether a new connection is kept. It counts as its first request; beyond five seconds' worth none is kept."""
        if not self._each:
            return True
        if self._turns.get(address, 0.0) - self._now() > _MOST_SECONDS:
            return False
        self.begins(address)
        return True

    def begins(self, address: str, count: float = 1) -> float:
        """Counts a request, or none if its connection was counted; after how many seconds it may begin."""
        if not self._each:
            return 0.0
        now, turns = self._now(), self._turns
        turn = turns[address] = max(turns.get(address, 0.0), now - _BURST_SECONDS) + count * self._each
        turns.move_to_end(address)
        if len(turns) > _MOST_ADDRESSES:
            turns.popitem(last=False)
        return max(0.0, turn - now)

    def owes(self, address: str) -> float:
        """After how many seconds a request of the address may begin, if none comes before it."""
        return max(0.0, self._turns.get(address, 0.0) - self._now()) if self._each else 0.0

    def charge(self, address: str, seconds: float, counted: int = 1) -> None:
        """Counts what took so much of the loop's time as the requests that pay for it; `counted` were counted already."""
        if self._each and (beyond := seconds / self._paid_seconds - counted) > 0:
            self.begins(address, beyond)

    def gives_up(self, address: str) -> None:
        """A request that was counted never begins."""
        self.begins(address, -1)
