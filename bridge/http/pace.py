"""How fast the requests of an address begin: one beyond its rate waits, and its connection is not read meanwhile."""

import time
from collections import OrderedDict
from collections.abc import Callable
from typing import Final

_BURST_SECONDS: Final = 1.0
_MOST_SECONDS: Final = 5.0
_MOST_ADDRESSES: Final = 20_000


class Pace:
    """A rate of requests and new connections for each address, a second's worth of them at once. A rate of 0 is no limit.

    A refusal costs the loop as much as an answer. So what comes too fast is neither answered nor read until it is its
    turn. The rate that refuses has twice the burst: what begins here is not refused there.
    """

    def __init__(self, rate: float, now: Callable[[], float] = time.monotonic) -> None:
        self._each = 1 / rate if rate else 0.0
        self._now = now
        # When the last one that was counted may begin.
        self._turns: OrderedDict[str, float] = OrderedDict()

    def enters(self, address: str) -> bool:
        """Whether a new connection is kept. It counts as its first request; beyond five seconds' worth none is kept."""
        if not self._each:
            return True
        if self._turns.get(address, 0.0) - self._now() > _MOST_SECONDS:
            return False
        self.begins(address)
        return True

    def begins(self, address: str, count: int = 1) -> float:
        """Counts a request, or none if its connection was counted; after how many seconds it may begin."""
        if not self._each:
            return 0.0
        now, turns = self._now(), self._turns
        turn = turns[address] = max(turns.get(address, 0.0), now - _BURST_SECONDS) + count * self._each
        turns.move_to_end(address)
        if len(turns) > _MOST_ADDRESSES:
            turns.popitem(last=False)
        return max(0.0, turn - now)

    def gives_up(self, address: str) -> None:
        """A request that was counted never begins."""
        self.begins(address, -1)
