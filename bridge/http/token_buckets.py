"""Token buckets: rate limits of scripts and addresses, in bounded memory.

A bucket holds tokens up to a limit and is refilled at a rate. A request takes tokens, and is refused if the bucket has
too few. Some work is charged after it is done, even if the bucket has too few tokens: the missing tokens are the
bucket's debt, and its refill pays the debt first.
"""

import math
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Final

from bridge.http.problems import Code, Problem

MOST_BUCKETS: Final = 20_000


class Buckets:
    """A token bucket for each name, such as a script or a client address.

    Each bucket holds up to `burst` tokens, by default two seconds' refill, and is refilled with `rate` tokens a second.
    A rate of 0 means no limit. A bucket's debt (tokens charged that it did not have) is at most `most_debt`. At most
    20,000 buckets are kept: the least recently used one is removed, and is full if its name is used again. `what` names
    the tokens in errors. `now` is a monotonic clock in seconds.
    """

    def __init__(
        self, what: str, rate: float, now: Callable[[], float], *, burst: float = 0, most_debt: float = math.inf
    ) -> None:
        self._what = what
        self._rate = rate
        self._burst = burst or 2.0 * rate
        self._most_debt = most_debt
        self._now = now
        self._levels: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()
        self._asked: dict[Hashable, float] = {}
        self._asked_since = now()

    def take(self, name: Hashable, count: int) -> None:
        """Take `count` tokens. Raises Problem, with the seconds until they are available.

        If `count` is more than a bucket can hold, it is taken from a full bucket. The missing tokens are a debt, which
        the refill pays before later requests get tokens.
        """
        self.ask(name, count)
        self.charge(name, count)

    def ask(self, name: Hashable, count: int, *, left: float = 0.0) -> None:
        """Check whether `take` would succeed, and take nothing; raises Problem if not.

        This caller must leave the fraction `left` of a full bucket in the bucket.
        """
        if not self._rate:
            return
        level, kept = self._level(name), left * self._burst
        lacking = min(count, self._burst - kept) - (level - kept)
        if lacking > 0:
            self._keep(name, level, count)
            raise self._problem(lacking)

    def charge(self, name: Hashable, count: float) -> None:
        """Take tokens for work that is done already.

        If the bucket has too few tokens, the missing ones become a debt. While the debt exists,
        `owes_nothing` refuses requests.
        """
        if self._rate and count:
            self._keep(name, self._level(name) - count, count)

    def debt(self, name: Hashable) -> float:
        """Return the debt of the bucket: tokens that were charged without being available, and are not refilled yet.

        0 means that the bucket has no debt.
        """
        return max(0.0, -self._level(name)) if self._rate and name in self._levels else 0.0

    def owes_nothing(self, name: Hashable, own: float = 0) -> None:
        """Raise Problem while the bucket has a debt of more than `own`, the part that this request has caused."""
        if (debt := self.debt(name) - own) > 0:
            raise self._problem(debt)

    def grant(self, name: Hashable) -> bool:
        """Take one token if one is available; returns whether one was."""
        if not self._rate:
            return True
        level = self._level(name)
        self._keep(name, level - 1 if level >= 1 else level, 1)
        return level >= 1

    def seconds_until(self, name: Hashable) -> int:
        """Return the whole seconds until a token is available."""
        return self._seconds(1 - self._level(name))

    def _level(self, name: Hashable) -> float:
        now = self._now()
        level, at = self._levels.get(name, (self._burst, now))
        return min(self._burst, level + (now - at) * self._rate)

    def _keep(self, name: Hashable, level: float, asked: float) -> None:
        self._levels[name] = (max(level, -self._most_debt), self._now())
        self._levels.move_to_end(name)
        self._asked[name] = self._asked.get(name, 0) + asked
        if len(self._levels) > MOST_BUCKETS:
            forgotten, _ = self._levels.popitem(last=False)
            self._asked.pop(forgotten, None)

    def _seconds(self, lacking: float) -> int:
        return max(1, math.ceil(lacking / self._rate)) if self._rate else 1

    def _problem(self, lacking: float) -> Problem:
        return Problem(Code.RATE_LIMITED, f"{self._what}: {self._rate:g} a second", retry_after=self._seconds(lacking))

    def most_used(self) -> float:
        """Return the highest use of any bucket since the last call.

        The use is the number of tokens that requests asked for, divided by the tokens refilled in this time. Above 1,
        requests were refused.
        """
        now, asked = self._now(), max(self._asked.values(), default=0)
        seconds, self._asked_since = now - self._asked_since, now
        self._asked.clear()
        return asked / (self._rate * seconds) if asked and seconds > 0 else 0.0
