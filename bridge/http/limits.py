"""Token buckets: how much one script or one address may send, in bounded memory."""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable

from bridge.http.problems import Code, Problem

_MOST_BUCKETS = 20_000


class Buckets:
    """One bucket for each name, which holds twice what a second refills; `now` is a monotonic clock in seconds.

    A rate of 0 is no limit. Buckets that were not used for longest are forgotten, which fills them.
    """

    def __init__(self, what: str, rate: float, now: Callable[[], float], most: int = _MOST_BUCKETS) -> None:
        self._what = what
        self._rate = rate
        self._burst = 2.0 * rate
        self._now = now
        self._most = most
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._asked: dict[Hashable, int] = {}
        self._asked_since = now()

    def take(self, name: Hashable, count: int) -> None:
        """Takes so many; raises Problem that says after how many seconds they will be there.

        More than the bucket ever holds passes when it is full, and leaves a debt that the next ones wait for.
        """
        if not self._rate:
            return
        now = self._now()
        level, at = self._levels.pop(name, (self._burst, now))
        level = min(self._burst, level + (now - at) * self._rate)
        lacking = min(count, self._burst) - level
        if lacking <= 0:
            level -= count
        self._levels[name] = (level, now)
        self._asked[name] = self._asked.get(name, 0) + count
        if len(self._levels) > self._most:
            self._levels.popitem(last=False)
        if lacking > 0:
            raise Problem(
                Code.RATE_LIMITED,
                f"{self._what}: {self._rate:g} a second",
                retry_after=max(1, math.ceil(lacking / self._rate)),
            )

    def most_used(self) -> float:
        """The share of the rate that was asked of one bucket since this was asked last; above 1 the rest was refused."""
        now, asked = self._now(), max(self._asked.values(), default=0)
        seconds, self._asked_since = now - self._asked_since, now
        self._asked.clear()
        return asked / (self._rate * seconds) if asked and seconds > 0 else 0.0
